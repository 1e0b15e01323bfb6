//! Objects that a plan writes to Tier-2.

use std::collections::BTreeSet;
use std::fs;

use dr_backends::tier2::{Tier2, Tier2Error};
use sha2::{Digest as _, Sha256};

use super::{Application, image_changed};
use crate::error::Result;
use crate::plan::{Effect, Plan, WrittenObject, hex, plan_file};

/// Writes an object, unless it is there.
pub(super) fn write(application: &Application<'_>, object: &WrittenObject) -> Result<()> {
    let content = content(application, object)?;
    match application.tier2.create(&object.key, &content) {
        Err(Tier2Error::Exists { .. }) if is_as_written(application.tier2, object, &content)? => Ok(()),
        written => Ok(written?),
    }
}

/// The content, from the plan's directory.
///
/// # Errors
/// `image-changed`.
pub(super) fn content(application: &Application<'_>, object: &WrittenObject) -> Result<Vec<u8>> {
    let path = plan_file(application.directory, &object.file)?;
    let content = fs::read(&path).map_err(|error| image_changed(&path).because(error))?;
    if hex(&Sha256::digest(&content)) == object.digest { Ok(content) } else { Err(image_changed(&path)) }
}

/// Takes an object away again. One that is something else by now stays.
pub(super) fn take_back(application: &Application<'_>, object: &WrittenObject) -> Result<()> {
    let content = content(application, object)?;
    if is_as_written(application.tier2, object, &content)? {
        application.tier2.delete(&object.key)?;
    }
    Ok(())
}

fn is_as_written(tier2: &dyn Tier2, object: &WrittenObject, content: &[u8]) -> Result<bool> {
    if tier2.size(&object.key)? != Some(object.size) {
        return Ok(false);
    }
    let mut there = vec![0; content.len()];
    Ok(tier2.read_at(&object.key, 0, &mut there)? == content.len() && there == content)
}

/// Keys of all objects that a plan writes.
pub(super) fn written(plan: &Plan) -> BTreeSet<&str> {
    plan.effects.iter().flat_map(objects_of).map(|object| object.key.as_str()).collect()
}

fn objects_of(effect: &Effect) -> &[WrittenObject] {
    if let Effect::WriteObjects { objects, .. } = effect { objects } else { &[] }
}
