use std::collections::BTreeMap;

use dr_engine::contract::{ContainerImage, LostRange};
use dr_engine::plan::{ContainerPlan, EvidenceDigest, Maker};
use dr_engine::report::{
    ContainerReport, Figures, Loss, LossClass, Owner, OwnerKind, SegmentCounts, StreamReport, Verdict,
};

use super::*;

fn plan() -> Plan {
    let image = ContainerImage { segments: 3, operations: 9, log_bytes: 4096, epoch: 7, digest: "d".to_owned() };
    let container = ContainerPlan {
        container: 0,
        image,
        segments_by_kind: vec![],
        data_bytes: 100,
        findings: vec![("longer-object".to_owned(), 2)],
        completed_tables: 0,
        absent_metadata: None,
    };
    Plan {
        format_version: 1,
        id: "0123456789abcdef".to_owned(),
        cluster: "lab & more".to_owned(),
        container_count: 1,
        maker: Maker {
            procedure: "total-loss".to_owned(),
            version: "0.1.0".to_owned(),
            digest: "d".to_owned(),
            signer: None,
            settings: vec![("tail".to_owned(), "whole-events".to_owned())],
            granted: None,
            host_version: "0.1.0".to_owned(),
        },
        evidence: EvidenceDigest { listing: "l".to_owned(), objects: 380, bytes: 1 << 20, parts: vec![], znodes: None },
        containers: vec![container],
        restored: vec![],
        warnings: vec![],
        decisions: vec![],
        losses: vec![],
        effects: vec![],
    }
}

fn figures(kept: u64, lost: u64, reason: &str) -> Figures {
    let lost_ranges = if lost == 0 { BTreeMap::new() } else { BTreeMap::from([(reason.to_owned(), 1)]) };
    let segments = SegmentCounts { created: 1, ..SegmentCounts::default() };
    Figures { segments, kept_bytes: kept, lost_bytes: lost, lost_ranges, ..Figures::default() }
}

/// A report of streams with these names; those with a loss come with it.
fn report(streams: &[(&str, u64)]) -> LossReport {
    let owner = |name: &str| Owner { kind: OwnerKind::Stream, scope: "s".to_owned(), name: name.to_owned() };
    let lost: u64 = streams.iter().map(|(_, lost)| lost).sum();
    let loss = |&(name, lost): &(&str, u64)| Loss {
        owner: owner(name),
        class: LossClass::Lost,
        range: LostRange {
            container: 0,
            segment: format!("s/{name}/0.#epoch.0"),
            first: 100,
            end: Some(100 + lost),
            reason: "torn".to_owned(),
        },
    };
    let stream = |&(name, lost): &(&str, u64)| StreamReport { owner: owner(name), figures: figures(100, lost, "torn") };
    let container = ContainerReport {
        container: 0,
        segment_listing: "container-0.segments.jsonl".to_owned(),
        segment_listing_digest: "d".to_owned(),
        figures: figures(100, lost, "torn"),
        findings: BTreeMap::from([("longer-object".to_owned(), 2)]),
        absent_metadata: None,
    };
    LossReport {
        format_version: 1,
        plan: "0123456789abcdef".to_owned(),
        cluster: "lab".to_owned(),
        container_count: 1,
        verdict: if lost == 0 { Verdict::NothingLost } else { Verdict::Losses },
        totals: figures(100 * streams.len() as u64, lost, "torn"),
        containers: vec![container],
        streams: streams.iter().map(stream).collect(),
        losses: streams.iter().filter(|(_, lost)| *lost > 0).map(loss).collect(),
        decisions: vec![],
        moved_aside: vec![],
        unused: vec![],
        unexplained: vec![],
    }
}

fn page(report: &LossReport) -> String {
    let steps = super::super::next::after_planning("dr", Path::new(".")).steps;
    let timeline = Timeline::empty();
    render(Source { plan: &plan(), report, timeline: &timeline, steps: &steps, root: Path::new("/mnt/tier2") }).unwrap()
}

/// The rows of the table of streams, as the page has them without its script.
fn rows(page: &str) -> Vec<&str> {
    let body = page.split_once(r#"<tbody id="stream-rows">"#).unwrap().1.split_once("</tbody>").unwrap().0;
    body.lines().filter(|line| line.starts_with("<tr>")).collect()
}

#[test]
fn the_verdict_comes_first() {
    let whole = page(&report(&[("a", 0), ("b", 0)]));
    assert!(whole.contains("<h1>Nothing that Tier-2 holds is lost</h1>"), "{whole}");
    assert!(whole.contains("All 2 streams and tables are complete"), "{whole}");
    let lossy = page(&report(&[("a", 0), ("b", 1536), ("c", 12)]));
    assert!(lossy.contains("<h1>Data is lost: 1.5 KiB</h1>"), "{lossy}");
    assert!(lossy.contains("2 ranges of bytes are lost, in 2 streams."), "{lossy}");
    assert!(lossy.contains("1 of 3 streams and tables are complete"), "{lossy}");
    let names: Vec<_> = rows(&lossy).iter().map(|row| row.split_once("</th>").unwrap().0).collect();
    assert_eq!(names, [r#"<tr><th scope="row">s/b"#, r#"<tr><th scope="row">s/c"#, r#"<tr><th scope="row">s/a"#]);
    for page in [whole, lossy] {
        assert!(page.contains("Planned.") && page.contains("<code>dr apply .</code>"), "{page}");
        assert!(page.contains("Nothing that is left knows of it"), "{page}");
    }
}

#[test]
fn names_are_escaped_wherever_they_stand() {
    let hostile = "</script><script>alert('1')</script>&\"<!--";
    let page = page(&report(&[(hostile, 5), ("b", 0)]));
    let body = page.split_once("<body>").unwrap().1;
    assert!(!body.contains("<script>alert") && !body.contains("<!--"), "{page}");
    assert_eq!(body.matches("<script").count(), 2, "{page}");
    assert_eq!(body.matches("</script>").count(), 2, "{page}");
    let data = body.split_once(r#"id="stream-data">"#).unwrap().1.split_once("</script>").unwrap().0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data[0][0], format!("s/{hostile}"));
    assert!(page.contains("lab &#38; more"), "{page}");
}

/// What the browser would refuse is the whole page's style or script, so the hashes must be those of the very texts.
#[test]
fn the_policy_allows_the_pages_own_style_and_script_alone() {
    let page = page(&report(&[]));
    let between = |from: &str, to: &str| page.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
    let style = policy_hash(&between("<style>", "</style>"));
    let script = policy_hash(&between("\n<script>", "</script>"));
    let policy = between(r#"http-equiv="Content-Security-Policy" content=""#, "\"");
    assert_eq!(
        policy,
        format!("default-src 'none'; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'")
    );
    for foreign in ["http://", "https://", "//cdn", "@import", "src="] {
        let found = page.replace("http://www.w3.org/2000/svg", "").contains(foreign);
        assert!(!found, "the page refers to something outside: {foreign}");
    }
}

#[test]
fn many_streams_are_searched_and_very_many_are_cut() {
    let names: Vec<String> = (0..21_000).map(|number| format!("stream-{number:05}")).collect();
    let mut streams: Vec<(&str, u64)> = names.iter().map(|name| (&**name, 0)).collect();
    streams[20_999].1 = 9;
    let page = page(&report(&streams));
    let rows = rows(&page);
    assert_eq!(rows.len(), 200);
    assert!(rows[0].contains("s/stream-20999"), "the one that loses something comes first: {}", rows[0]);
    assert!(page.contains("1,000 more stand in loss.json only"), "{}", &page[page.len() - 5000..]);
    assert!(page.len() < 4 << 20, "{} bytes", page.len());
}

#[test]
fn nothing_at_all_is_a_page_too() {
    let page = page(&report(&[]));
    assert!(page.contains("No stream or table of users is there."), "{page}");
    assert!(page.contains(r#"<script type="application/json" id="stream-data">[]</script>"#), "{page}");
}
