//! What must not be done to bookies, ledgers and logs.

use dr_guest_kit::containers::open_fresh_container;
use dr_guest_kit::ledgers::keep_ledgers;
use dr_guest_kit::{ContainerId, Error, Result, bookies, ledger_pages, ledgers, logs};

/// More rows than a list may have.
const FLOOD: usize = 200_000;

/// Does the deed of this name, if it is one of these.
pub(crate) fn misbehave(how: &str, container: ContainerId) -> Option<Result<()>> {
    Some(match how {
        "restore-unknown" => logs::restore_log(ContainerId::MAX).map(drop),
        "restore-again" => logs::restore_log(container).map(drop),
        "open-restored" => open_fresh_container(container).map(drop),
        "keep-negative" => keep_ledgers(&[-1]),
        "keep-largest" => keep_ledgers(&[i64::MAX - 1]),
        "keep-of-log" => ledger_of_log().and_then(|id| keep_ledgers(&[id])),
        "keep-half" => stray().and_then(|id| keep_ledgers(&[id, i64::MIN])),
        "keep-named-twice" => stray().and_then(|id| keep_ledgers(&[id, id])),
        "keep-again" => stray().and_then(|id| keep_ledgers(&[id])),
        "keep-page-and-more" => stray().and_then(|id| keep_ledgers(&[id; 4097])),
        "keep-flood" => keep_ledgers(&vec![0; FLOOD]),
        "register-early" | "register-again" => all_bookies().and_then(|ids| register(&ids)),
        "register-unknown" => register(&["../../nobody:3181".to_owned()]),
        "register-nobody" => register(&[]),
        "register-named-twice" => all_bookies().and_then(|ids| register(&[&ids[..], &ids[..]].concat())),
        "register-flood" => register(&vec![String::new(); FLOOD]),
        "register-long-text" => register(&["x".repeat(10_000_000)]),
        "no-page" => ledgers::list_ledgers().and_then(|listing| listing.next_page(0)).map(drop),
        _ => return None,
    })
}

fn register(ids: &[String]) -> Result<()> {
    bookies::register_bookies(ids)
}

fn all_bookies() -> Result<Vec<String>> {
    Ok(bookies::list_bookies()?.into_iter().map(|bookie| bookie.id).collect())
}

/// A ledger that is part of no log.
fn stray() -> Result<i64> {
    let mut ledgers = ledger_pages()?.rows().collect::<Result<Vec<_>>>()?.into_iter();
    let stray = ledgers.find(|ledger| ledger.container.is_none()).map(|ledger| ledger.id);
    stray.ok_or_else(|| Error::Failed("every ledger is part of a log".to_owned()))
}

fn ledger_of_log() -> Result<i64> {
    let id = logs::list_logs()?.first().and_then(|log| log.ledgers.first().copied());
    id.ok_or_else(|| Error::Failed("there is no log".to_owned()))
}
