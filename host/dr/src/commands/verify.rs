//! `dr verify`: would the segment stores boot on this?

use std::time::Instant;

use dr_backends::tier2::Tier2;
use dr_engine::error::Result;
use dr_engine::verify::{Scope, Verification, verify};

use super::tier1::{OpenTier1, Purpose};
use super::{Session, source, verify_online};
use crate::arguments::{ContainerSelection, VerifyArguments};
use crate::exit_code::ExitCode;
use crate::output::json::Event;
use crate::output::verification::{Seen, VerificationEvent};

/// Reads everything back and tells.
pub(super) fn run(session: &Session, arguments: &VerifyArguments) -> Result<ExitCode> {
    if arguments.online.online {
        return verify_online::run(session, arguments);
    }
    let overrides = arguments.tier1.overrides(&arguments.source);
    let configuration = source::configuration(session, &arguments.source.config, &arguments.source.root, &overrides)?;
    let tier2 = source::open(&arguments.source.root)?;
    let tier1 = OpenTier1::open(session, &configuration, Purpose::Read, true)?;
    let containers = arguments.source.containers.as_ref().map(ContainerSelection::numbers).unwrap_or_default();
    let scope = Scope {
        container_count: configuration.container_count,
        containers,
        parallel: source::parallel(arguments.source.parallel),
        depth: arguments.depth.depth(),
    };
    let verification = check(session, tier2.as_ref(), &tier1, &scope)?;
    Ok(if verification.problems.is_empty() { ExitCode::Done } else { ExitCode::Problems })
}

/// Verifies and shows what was found.
pub(super) fn check(
    session: &Session,
    tier2: &dyn Tier2,
    tier1: &OpenTier1,
    scope: &Scope<'_>,
) -> Result<Verification> {
    let begun = Instant::now();
    let verification = verify(tier2, tier1.tier1(), &tier1.layout, scope, session.progress.as_ref())?;
    let console = &session.console;
    console.event(Event::Verified(VerificationEvent::new(&verification, scope.depth)));
    let seen = Seen { verification: &verification, depth: scope.depth, time: begun.elapsed() };
    console.text(&seen.render(console.manner().verbose, console.colour()));
    Ok(verification)
}
