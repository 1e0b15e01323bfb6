//! Test guest: does on demand what a procedure must not do, in a task that has staged something before.
//!
//! The setting `how` chooses the deed. The tests of `dr-runtime` say what the host has to answer to each.

mod disks;
mod reentrant;

use dr_guest_kit::containers::{AttributeUpdate, CoreAttribute, FreshContainer, NewSegment, open_fresh_container};
use dr_guest_kit::storage::{ObjectListing, SegmentListing, list_segments};
use dr_guest_kit::{
    Description, Error, Parameter, Procedure, Result, Settings, Task, coordination, logs, report, segment_pages,
    segments, storage, task_per_container,
};

struct Misbehaving;

dr_guest_kit::export_procedure!(Misbehaving);

const DEEDS: &str = "choice:nothing|abort|panic|loop|recursion|memory|host-calls|listings|long-list|long-text|\
                     long-data|log-flood|report-flood|invalid-text|unknown-segment|escape|after-close|give-up|\
                     odd-gives-up|bear-no-error|undeclared|cursors|forged-handle|dropped-handle|foreign-handle|\
                     reentrance|escape-znode|staged-flood|staged-bytes|attributes|wordy-reports|not-a-number|\
                     many-tasks|same-tasks|panic-in-prepare|loop-in-finish|restore-open|restore-unknown|restore-again|\
                     open-restored|keep-negative|keep-largest|keep-of-log|keep-half|keep-named-twice|keep-again|\
                     keep-page-and-more|keep-flood|register-early|register-again|register-unknown|register-nobody|\
                     register-named-twice|register-flood|register-long-text|no-page";

/// `coordination.delete` is left out, to be called nevertheless.
const CAPABILITIES: [&str; 12] = [
    "storage.containers",
    "storage.list-segments",
    "storage.move-aside",
    "containers.open-fresh-container",
    "coordination.get",
    "coordination.create",
    "bookies.list-bookies",
    "bookies.register-bookies",
    "ledgers.list-ledgers",
    "ledgers.keep-ledgers",
    "logs.list-logs",
    "logs.restore-log",
];

impl Procedure for Misbehaving {
    fn describe() -> Description {
        Description {
            name: "misbehaving".to_owned(),
            version: "0.1.0".to_owned(),
            summary: "Does on demand what a procedure must not do.".to_owned(),
            scenarios: vec!["total-loss".to_owned()],
            capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            parameters: vec![Parameter {
                name: "how".to_owned(),
                kind: DEEDS.to_owned(),
                default_value: "nothing".to_owned(),
                help: "The deed.".to_owned(),
            }],
        }
    }

    fn prepare(settings: &Settings, selected: &[u32]) -> Result<Vec<Task>> {
        let task = |id: String| Task { id, container: None, title: String::new() };
        match settings.text("how")? {
            "many-tasks" => Ok((0..200_000).map(|n| task(n.to_string())).collect()),
            "same-tasks" => Ok(vec![task("one".to_owned()), task("one".to_owned())]),
            "panic-in-prepare" => fail_loudly(),
            _ => task_per_container(selected),
        }
    }

    fn run(settings: &Settings, task: &Task) -> Result<()> {
        let container = task.container.ok_or_else(|| Error::Failed("a task without a container".to_owned()))?;
        let how = settings.text("how")?;
        if let Some(done) = disks::misbehave(how, container) {
            return done;
        }
        let fresh = open_fresh_container(container)?;
        for page in segment_pages(container)? {
            let all = page?.into_iter();
            let segments = all.map(|found| NewSegment { name: found.name, sealed: found.sealed, length: found.length });
            fresh.create_segments(&segments.collect::<Vec<_>>())?;
        }
        misbehave(how, &fresh, container)?;
        fresh.close().map(drop)
    }

    fn finish(settings: &Settings) -> Result<()> {
        if settings.text("how")? == "loop-in-finish" { spin() } else { Ok(()) }
    }
}

fn misbehave(how: &str, fresh: &FreshContainer, container: u32) -> Result<()> {
    match how {
        "abort" => std::process::abort(),
        "panic" => fail_loudly(),
        "loop" => spin(),
        "recursion" => {
            report::debug(&recurse(1).to_string());
            Ok(())
        }
        "memory" => hog(),
        "host-calls" => loop {
            storage::containers()?;
        },
        "listings" => loop {
            std::mem::forget(segments(container)?);
        },
        "long-list" => fresh.seal_segments(&vec![String::new(); 200_000]),
        "long-text" => coordination::get(&"x".repeat(10_000_000)).map(drop),
        "long-data" => coordination::create("x", &vec![0; 20_000_000]),
        "log-flood" => {
            (0..100_000).for_each(|_| report::info("flood"));
            Ok(())
        }
        "report-flood" => loop {
            report::decision(None, "flood", "flood", "flood");
        },
        "invalid-text" => {
            report::info(&not_utf8());
            Ok(())
        }
        "unknown-segment" => {
            fresh.create_segments(&[NewSegment { name: "no/such/0.#epoch.0".to_owned(), sealed: false, length: 1 }])
        }
        "escape" => storage::move_aside(container, &["../../etc/passwd".to_owned()], "_dr/../.."),
        "after-close" => {
            fresh.close()?;
            fresh.seal_segments(&[])
        }
        "restore-open" => logs::restore_log(container).map(drop),
        "escape-znode" => coordination::create("../../another-cluster/counter", b"x"),
        "cursors" => lie_about_pages(container),
        "forged-handle" => segment_listing(77).next_page(1).map(drop),
        "dropped-handle" => {
            let handle = handle_of(list_segments(container)?);
            drop(segment_listing(handle));
            segment_listing(handle).next_page(1).map(drop)
        }
        "foreign-handle" => object_listing(handle_of(list_segments(container)?)).next_page(1).map(drop),
        "reentrance" => {
            reentrant::call_back_from_the_next_allocation();
            storage::containers().map(drop)
        }
        "staged-flood" => (0_u64..).try_for_each(|number| coordination::create(&format!("flood/{number}"), b"")),
        "staged-bytes" => (0_u64..).try_for_each(|_| coordination::create("counter", &vec![0; 1_000_000])),
        "attributes" => loop {
            let attributes = (0..10_000).map(|id| CoreAttribute { id: 1 << 40 | id, value: 0 }).collect();
            fresh.update_attributes(&[AttributeUpdate { segment: "s/t0000000/0.#epoch.0".to_owned(), attributes }])?;
        },
        "wordy-reports" => loop {
            report::decision(None, "words", "words", &"words ".repeat(10_000));
        },
        "not-a-number" => {
            not_a_number().iter().for_each(|bits| report::info(&format!("{bits:016x}")));
            Ok(())
        }
        "undeclared" => coordination::delete("counter", 0),
        "bear-no-error" => coordination::get("counter").map_or_else(|_| fail_loudly(), |_| Ok(())),
        "odd-gives-up" if container.is_multiple_of(2) => spin(),
        "give-up" | "odd-gives-up" => Err(Error::Failed("this procedure gives up".to_owned())),
        _ => Ok(()),
    }
}

/// Asks for pages that are too small and too large, and on behind the end.
fn lie_about_pages(container: u32) -> Result<()> {
    let listing = list_segments(container)?;
    let none = listing.next_page(0).err();
    let mut sizes = Vec::new();
    while sizes.last() != Some(&0) {
        sizes.push(listing.next_page(u32::MAX)?.len());
    }
    let behind_the_end = listing.next_page(1)?.len();
    report::info(&format!("{none:?}; {sizes:?}; {behind_the_end}"));
    Ok(())
}

fn handle_of(listing: SegmentListing) -> u32 {
    listing.take_handle()
}

#[allow(unsafe_code)]
fn segment_listing(handle: u32) -> SegmentListing {
    // SAFETY: nothing in this guest depends on it; the host has to notice a handle that is none.
    unsafe { SegmentListing::from_handle(handle) }
}

#[allow(unsafe_code)]
fn object_listing(handle: u32) -> ObjectListing {
    // SAFETY: as above.
    unsafe { ObjectListing::from_handle(handle) }
}

/// Results that processors are free to choose the bits of.
#[allow(clippy::eq_op)]
fn not_a_number() -> [u64; 4] {
    let [zero, infinity] = [0.0_f64, f64::INFINITY].map(std::hint::black_box);
    let odd = std::hint::black_box(f64::from_bits(0xfff0_dead_beef_0001));
    [zero / zero, infinity - infinity, (-std::hint::black_box(1.0_f64)).sqrt(), odd + 1.0].map(f64::to_bits)
}

#[allow(clippy::panic)]
fn fail_loudly() -> ! {
    panic!("an assumption of the author was wrong")
}

fn spin() -> ! {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(depth + 1)) + 1)
}

fn hog() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

#[allow(unsafe_code)]
fn not_utf8() -> String {
    // SAFETY: not sound, and meant to be so: the host has to notice.
    unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe, 0xfd]) }
}
