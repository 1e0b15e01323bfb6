//! The loss report of a plan: what it says fits its schema, adds up, names every object, and can be read in a browser.

// In a test a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use dr_tests::browser::{self, View};
use dr_tests::captured::{self, CapturedTree};
use dr_tests::dr::{self, Finished};
use dr_tests::generate::{Shape, tree};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A name that says whether golden files are written instead of compared.
const WRITE: &str = "DR_TEST_WRITE_GOLDEN";

/// A capture, what is done to it before planning, and the exit code of the plan.
type Situation = (&'static str, fn(&Path), i32);

const SITUATIONS: [Situation; 5] = [
    ("flushed", |_| {}, 0),
    ("crashed", |_| {}, 4),
    ("never-flushed", |_| {}, 4),
    ("epochs", |_| {}, 0),
    ("flushed", damage, 4),
];

/// A captured tree and a plan for it in `run`.
struct Place {
    tree: CapturedTree,
}

impl Place {
    fn planned(capture: &str, change: impl FnOnce(&Path), code: i32) -> Self {
        let place = Self { tree: captured::unpack(capture) };
        change(&place.tree.root);
        place
            .dr(&[
                "plan",
                place.tree.root.to_str().unwrap(),
                "--directory",
                "run",
                "--cluster",
                "lab",
                "--tier1",
                "dir:tier1",
            ])
            .expect_code(code);
        place
    }

    fn dr(&self, arguments: &[&str]) -> Finished {
        dr::run(self.tree.directory.path(), arguments)
    }

    fn run(&self, name: &str) -> PathBuf {
        self.tree.directory.path().join("run").join(name)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.run(name)).unwrap()).unwrap()
    }
}

/// A stream loses the end of an object, and a table of the controller its beginning.
fn damage(root: &Path) {
    let keys = captured::content(root);
    let object = |prefix: &str, least: usize| {
        let found = keys.iter().find(|(key, content)| {
            key.starts_with(prefix) && !key.contains("$attributes.index") && content.len() > least
        });
        found.map(|(key, content)| (root.join(key), content.clone())).unwrap()
    };
    let (path, content) = object("alpha/fixed/", 200);
    fs::write(path, &content[..content.len() / 2]).unwrap();
    let (path, mut content) = object("_system/_tables/alpha/fixed/", 200);
    content[..60].fill(0);
    fs::write(path, content).unwrap();
}

fn rows<'a>(report: &'a Value, list: &str) -> &'a Vec<Value> {
    report[list].as_array().unwrap()
}

fn text<'a>(row: &'a Value, member: &str) -> &'a str {
    row[member].as_str().unwrap()
}

fn number(row: &Value, member: &str) -> u64 {
    row[member].as_u64().unwrap()
}

fn validator(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas").join(name);
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[track_caller]
fn assert_valid(validator: &jsonschema::Validator, value: &Value, what: &str) {
    let errors: Vec<_> =
        validator.iter_errors(value).take(5).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}");
}

#[test]
fn plans_and_reports_are_as_their_schemas_say() {
    let [plan, loss, segment] = ["plan-2.schema.json", "loss-1.schema.json", "segment-1.schema.json"].map(validator);
    for (capture, change, code) in SITUATIONS {
        let place = Place::planned(capture, change, code);
        assert_valid(&plan, &place.json("plan.json"), capture);
        let report = place.json("loss.json");
        assert_valid(&loss, &report, capture);
        for container in rows(&report, "containers") {
            let listing = fs::read_to_string(place.run(text(container, "segment_listing"))).unwrap();
            assert!(listing.ends_with('\n') || listing.is_empty(), "{capture}");
            for line in listing.lines() {
                assert_valid(&segment, &serde_json::from_str(line).unwrap(), line);
            }
        }
        // A schema that accepts anything would prove nothing.
        let mut foreign = report.clone();
        foreign["totals"]["kept_bytes"] = Value::from(-1);
        assert!(!loss.is_valid(&foreign));
        let mut foreign = report;
        foreign["more"] = Value::from(1);
        assert!(!loss.is_valid(&foreign));
    }
}

#[test]
fn the_figures_of_a_report_add_up() {
    for (capture, change, code) in SITUATIONS {
        let place = Place::planned(capture, change, code);
        let (report, plan) = (place.json("loss.json"), place.json("plan.json"));
        assert_eq!(report["verdict"] == "nothing-lost", code == 0, "{capture}");
        assert_eq!(report["plan"], plan["id"]);
        for figure in ["kept_bytes", "lost_bytes", "unknown_bytes", "bookkeeping_bytes", "dropped_bytes", "open_ranges"]
        {
            let sum = |list: &str| rows(&report, list).iter().map(|row| number(row, figure)).sum::<u64>();
            let total = number(&report["totals"], figure);
            assert_eq!((sum("streams"), sum("containers")), (total, total), "{capture}: {figure}");
        }
        let planned: u64 = rows(&plan, "containers").iter().map(|row| number(row, "data_bytes")).sum();
        assert_eq!(number(&report["totals"], "kept_bytes"), planned, "{capture}");
        assert_eq!(rows(&report, "losses").len(), rows(&plan, "losses").len(), "{capture}");
        let lost = |class: &str| -> u64 {
            let of_class = rows(&report, "losses").iter().filter(|loss| loss["class"] == class);
            of_class.filter_map(|loss| Some(loss["end"].as_u64()? - number(loss, "first"))).sum()
        };
        assert_eq!(lost("lost"), number(&report["totals"], "lost_bytes"), "{capture}");
        assert_eq!(lost("unknown"), number(&report["totals"], "unknown_bytes"), "{capture}");
        segments_add_up(&place, &report, capture);
    }
}

fn segments_add_up(place: &Place, report: &Value, capture: &str) {
    for container in rows(report, "containers") {
        let listing = fs::read(place.run(text(container, "segment_listing"))).unwrap();
        assert_eq!(dr_engine::plan::hex(&Sha256::digest(&listing)), text(container, "segment_listing_digest"));
        let (mut fates, mut kept): (BTreeMap<String, u64>, u64) = (BTreeMap::new(), 0);
        for line in String::from_utf8(listing).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            *fates.entry(text(&line, "fate").to_owned()).or_default() += 1;
            assert_eq!(line["fate"] == "created", line["kept"].is_object(), "{line}");
            kept += line["kept"]["end"].as_u64().unwrap_or(0) - line["kept"]["first"].as_u64().unwrap_or(0);
        }
        assert_eq!(kept, number(container, "kept_bytes"), "{capture}");
        for (fate, count) in container["segments"].as_object().unwrap() {
            assert_eq!(fates.get(fate).copied().unwrap_or(0), count.as_u64().unwrap(), "{capture}: {fate}");
        }
    }
}

/// Every object of Tier-2 is used by the new cluster, moved aside, unused in place, or no object of Pravega's: after a
/// recovery, `dr verify` counts the used ones.
#[test]
fn every_object_is_accounted_for() {
    for (capture, change, code) in SITUATIONS {
        let place = Place::planned(capture, change, code);
        let report = place.json("loss.json");
        let before: BTreeSet<String> = captured::content(&place.tree.root).into_keys().collect();
        let keys = |list: &str, member: &str| -> BTreeSet<String> {
            let keys: Vec<_> = rows(&report, list).iter().map(|row| text(row, member).to_owned()).collect();
            let set: BTreeSet<_> = keys.iter().cloned().collect();
            assert_eq!(set.len(), keys.len(), "{capture}: {list} names an object twice");
            set
        };
        let sets = [keys("moved_aside", "from"), keys("unused", "key"), keys("unexplained", "key")];
        assert!(sets.iter().all(|set| set.is_subset(&before)), "{capture}: an object that does not exist");
        assert_eq!(sets.iter().flatten().collect::<BTreeSet<_>>().len(), sets.iter().map(BTreeSet::len).sum::<usize>());
        place.dr(&["apply", "run", "--yes", "--accept-loss"]).expect_code(code);
        let after: BTreeSet<String> = captured::content(&place.tree.root).into_keys().collect();
        for moved in rows(&report, "moved_aside") {
            assert!(after.contains(text(moved, "to")) && !after.contains(text(moved, "from")), "{capture}: {moved}");
        }
        let verified = place.dr(&[
            "verify",
            place.tree.root.to_str().unwrap(),
            "--cluster",
            "lab",
            "--tier1",
            "dir:tier1",
            "--output",
            "json",
        ]);
        let verified = verified.expect_code(0).stdout;
        let verified = verified.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let verified = verified.into_iter().find(|event| event["event"] == "verified").unwrap();
        let used: u64 = rows(&verified, "containers").iter().map(|container| number(container, "chunks")).sum();
        let elsewhere = sets.iter().map(BTreeSet::len).sum::<usize>() as u64;
        assert_eq!(used + elsewhere, before.len() as u64, "{capture}: used and elsewhere are not all");
    }
}

#[test]
fn what_dr_show_says_of_streams_is_kept_as_golden_files() {
    for (name, (capture, change, code)) in
        ["flushed", "crashed", "never-flushed", "epochs", "damaged"].iter().zip(SITUATIONS)
    {
        let place = Place::planned(capture, change, code);
        for (suffix, arguments) in [("", &["show", "run"][..]), (".all", &["show", "run", "-v"])] {
            let shown = place.dr(arguments).expect_code(code).stdout;
            let streams = shown.split_once("What becomes of streams and tables").unwrap().1;
            golden(&format!("show-{name}{suffix}.txt"), streams);
        }
        if ["never-flushed", "damaged"].contains(name) {
            // The id follows from the bytes of the procedure, and so from the compiler.
            let report = fs::read_to_string(place.run("loss.json")).unwrap();
            let id = place.json("plan.json")["id"].as_str().unwrap().to_owned();
            golden(&format!("loss-{name}.json"), &report.replace(&id, "ID"));
        }
    }
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/report").join(name);
    if std::env::var_os(WRITE).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{name} is not as written down; {WRITE}=1 writes it anew\n{text}");
}

#[test]
fn streams_are_told_to_programs_and_compared() {
    let place = Place::planned("crashed", |_| {}, 4);
    let events = place.dr(&["show", "run", "--output", "json"]).expect_code(4).stdout;
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let report = place.json("loss.json");
    let streams: Vec<&Value> = events.iter().filter(|event| event["event"] == "stream").collect();
    assert_eq!(streams.len(), rows(&report, "streams").len());
    let losses = events.iter().find(|event| event["event"] == "losses").unwrap();
    assert_eq!((&losses["totals"], &losses["verdict"]), (&report["totals"], &report["verdict"]));
    let root = place.tree.root.to_str().unwrap();
    let second = [
        "plan",
        root,
        "--directory",
        "second",
        "--cluster",
        "lab",
        "--tier1",
        "dir:tier1",
        "--set",
        "unrecorded=create",
    ];
    place.dr(&second).expect_code(0);
    let difference = place.dr(&["diff", "run", "second"]).expect_code(0).stdout;
    assert!(difference.contains("Streams and tables") && difference.contains("bytes unknown"), "{difference}");
}

#[test]
fn a_report_that_is_missing_edited_or_foreign_is_refused_and_its_plan_can_still_be_applied() {
    let place = Place::planned("crashed", |_| {}, 4);
    let whole = fs::read_to_string(place.run("loss.json")).unwrap();
    let plan = place.json("plan.json")["id"].as_str().unwrap().to_owned();
    for (what, content) in [
        ("cut", whole[..whole.len() / 2].to_owned()),
        ("foreign", whole.replacen(&plan, "0123456789abcdef", 1)),
        ("of another version", whole.replacen("\"format_version\": 1", "\"format_version\": 2", 1)),
        ("empty", String::new()),
    ] {
        assert_ne!(content, whole, "{what}");
        fs::write(place.run("loss.json"), content).unwrap();
        let refused = place.dr(&["show", "run"]).expect_code(2);
        assert!(refused.stderr.contains("error[loss-report-unreadable]"), "{what}: {}", refused.stderr);
    }
    fs::remove_file(place.run("loss.json")).unwrap();
    place.dr(&["show", "run"]).expect_code(2);
    let applied = place.dr(&["apply", "run", "--yes"]).expect_code(4);
    assert!(applied.stderr.contains("warning: cannot read the loss report"), "{}", applied.stderr);
}

#[test]
fn the_page_tells_what_was_done() {
    let place = Place::planned("flushed", |_| {}, 0);
    let page = || fs::read_to_string(place.run("report.html")).unwrap();
    let planned = page();
    assert!(planned.contains("Nothing that Tier-2 holds is lost") && planned.contains("dr apply ."), "{planned}");
    assert!(!planned.contains("What was done, and when"), "a plan holds no time");
    place.dr(&["apply", "run", "--yes"]).expect_code(0);
    let applied = page();
    assert!(applied.contains("Carried out and verified.") && applied.contains("What was done, and when"), "{applied}");
    let timeline = place.json("timeline.json");
    let stages = rows(&timeline["runs"][0], "stages");
    assert!(stages.len() > 3 && timeline["runs"][0]["outcome"] == "verified", "{timeline}");
    place.dr(&["rollback", "run", "--yes"]).expect_code(0);
    assert!(page().contains("Rolled back."), "{}", page());
    place.dr(&["apply", "run", "--yes"]).expect_code(3);
    assert!(page().contains("Rolled back."), "{}", page());
    if !browser::is_wanted() {
        return;
    }
    let document = browser::document(&place.run("report.html"), "");
    let next = document.split_once("What to do now").unwrap().1.split_once("</section>").unwrap().0;
    let new = format!("--directory {}", place.tree.directory.path().join("run-2").display());
    assert!(next.to_lowercase().contains("everything is as it was") && next.contains("dr plan "), "{next}");
    assert!(next.contains(&new), "{next}");
    assert!(!next.contains("dr apply") && !next.contains("dr rollback"), "{next}");
    let done = document.split_once("What was done, and when").unwrap().1;
    let said: Vec<Option<usize>> =
        ["refused, nothing changed", "rolled back", "carried out and verified"].map(|what| done.find(what)).to_vec();
    assert!(said.iter().all(Option::is_some) && said.is_sorted(), "the newest comes first: {done}");
    browser::picture(&place.run("report.html"), "rolled-back", View { size: Some((1200, 3000)), ..View::default() });
}

#[test]
fn the_page_is_opened_in_a_real_browser() {
    if !browser::is_wanted() {
        return;
    }
    for (name, (capture, change, code)) in
        ["flushed", "crashed", "never-flushed", "epochs", "damaged"].iter().zip(SITUATIONS)
    {
        let place = Place::planned(capture, change, code);
        let document = browser::document(&place.run("report.html"), "");
        let report = place.json("loss.json");
        let verdict = match text(&report, "verdict") {
            "nothing-lost" => "Nothing that Tier-2 holds is lost",
            "unknown" => "No byte is known to be lost",
            _ if *name == "never-flushed" => "4 containers have lost all metadata",
            _ => "Data is lost",
        };
        assert!(document.contains(&format!("<h1>{verdict}")), "{name}: {document}");
        // Streams that had been deleted are not shown.
        let is_shown = |stream: &&Value| {
            let lives = number(&stream["segments"], "created") + number(&stream["segments"], "unrecorded") > 0;
            stream["kind"] == "stream" && lives
        };
        for stream in rows(&report, "streams").iter().filter(is_shown) {
            let path = format!(">{}/{}<", text(stream, "scope"), text(stream, "name"));
            assert!(document.contains(&path), "{name}: {path}");
        }
        // The script ran: it shows the search, which is hidden without it.
        let has_search = document.contains(r#"<p class="controls"><label>Search"#);
        assert_eq!(has_search, document.matches("<th scope=\"row\">alpha/").count() > 1, "{name}: {document}");
        browser::picture(&place.run("report.html"), name, View { is_dark: *name == "damaged", ..View::default() });
    }
}

#[test]
fn a_stream_is_found_among_many_in_a_real_browser() {
    if !browser::is_wanted() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let shape = Shape { segments: 3_000, ..Shape::default() };
    tree(&directory.path().join("tier2"), &shape).unwrap();
    let plan = ["plan", "tier2", "--directory", "run", "--cluster", "lab", "--tier1", "dir:tier1"];
    dr::run(directory.path(), plan).expect_code(0);
    let run = directory.path().join("run");
    let report: Value = serde_json::from_slice(&fs::read(run.join("loss.json")).unwrap()).unwrap();
    let streams: Vec<String> = rows(&report, "streams")
        .iter()
        .filter(|row| row["kind"] == "stream" && row["scope"] != "_system")
        .map(|row| format!("{}/{}", text(row, "scope"), text(row, "name")))
        .collect();
    assert!(streams.len() > 300, "{}", streams.len());
    let listed = |document: &str| document.matches(r#"<tr><th scope="row">"#).count();
    let page = run.join("report.html");
    let all = browser::document(&page, "");
    let row_of = |stream: &String| format!(r#"<tr><th scope="row">{stream}</th>"#);
    // At first 200 are shown.
    let wanted = streams.iter().rfind(|stream| !all.contains(&row_of(stream))).unwrap();
    let row = row_of(wanted);
    let found = browser::document(&page, &format!("find={wanted}"));
    assert!(found.contains(&row) && listed(&found) < listed(&all), "{found}");
    browser::picture(&page, "many", View::default());
}

/// A report as that of a large cluster: the rows of two streams, 10,000 times over. Every fortieth loses something.
#[test]
fn ten_thousand_streams_are_a_page_that_can_be_used() {
    if !browser::is_wanted() {
        return;
    }
    let place = Place::planned("flushed", damage, 4);
    let mut report = place.json("loss.json");
    let streams = report["streams"].as_array_mut().unwrap();
    let of_users = |loses: bool| {
        let found = streams
            .iter()
            .find(|row| row["kind"] == "stream" && row["scope"] == "alpha" && (number(row, "lost_bytes") > 0) == loses);
        found.unwrap().clone()
    };
    let (whole, loses) = (of_users(false), of_users(true));
    for index in 0..10_000 {
        let mut row = if index % 40 == 39 { loses.clone() } else { whole.clone() };
        (row["scope"], row["name"]) = ("many".into(), format!("stream-{index:05}").into());
        streams.push(row);
    }
    fs::write(place.run("loss.json"), report.to_string()).unwrap();
    place.dr(&["apply", "run", "--yes", "--accept-loss"]).expect_code(4);

    let page = place.run("report.html");
    let size = fs::metadata(&page).unwrap().len();
    let names = |fragment: &str| -> Vec<String> {
        let document = browser::document(&page, fragment);
        let body = document.split_once(r#"<tbody id="stream-rows">"#).unwrap().1.split_once("</tbody>").unwrap().0;
        let heads = body.split(r#"<th scope="row">"#).skip(1);
        heads.map(|head| head.split_once('<').unwrap().0.to_owned()).collect()
    };
    let began = std::time::Instant::now();
    let first = names("");
    eprintln!("10,000 streams: {size} bytes, opened in {:.1} s", began.elapsed().as_secs_f64());
    assert!(size < 2 << 20, "{size} bytes");
    let is_losing =
        |name: &String| name.strip_prefix("many/stream-").is_none_or(|index| index.parse::<u32>().unwrap() % 40 == 39);
    assert_eq!(first.len(), 200);
    assert!(first.iter().all(is_losing), "those that lose something come first: {first:?}");
    let losing = names("losing&rows=1000");
    assert!(losing.len() > 250 && losing.iter().all(is_losing), "{}", losing.len());
    assert_eq!(names("find=many/stream-04711"), ["many/stream-04711"]);
    assert!(names("rows=20000").len() > 10_000);
    browser::picture(&page, "ten-thousand", View::default());
}

/// Pravega refuses such names, but Tier-2 is a directory into which anything can be written.
#[test]
fn hostile_names_are_shown_and_not_obeyed() {
    let hostile = [
        "<script>document.title=1",
        "<img src=x onerror=document.title=1>",
        "\"><svg onload=document.title=1>",
        "<!--",
        "'; alert(1); '",
        "a\u{1b}[31mb\u{202e}c",
        "{{ plan_id }}",
    ];
    let add = |root: &Path| {
        for name in hostile {
            let directory = root.join("alpha").join(name);
            fs::create_dir_all(&directory).unwrap();
            let chunk = "0.#epoch.0.E-1-O-0.00000000-0000-0000-0000-000000000001";
            fs::write(directory.join(chunk), [0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]).unwrap();
        }
    };
    let place = Place::planned("flushed", add, 4);
    let page = fs::read_to_string(place.run("report.html")).unwrap();
    let report = place.json("loss.json");
    let listed = rows(&report, "losses").iter().filter(|loss| loss["reason"] == "unrecorded").count();
    assert_eq!(listed, hostile.len(), "{report}");
    let body = page.split_once("<body>").unwrap().1;
    for forbidden in ["<img", "<svg onload", "<script>document", "<!--", "\u{1b}"] {
        assert!(!body.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("<script").count(), 2, "the data of the search, and the search");
    if !browser::is_wanted() {
        return;
    }
    let document = browser::document(&place.run("report.html"), "");
    assert!(document.contains("alpha/&lt;img src=x onerror=document.title=1&gt;"), "{document}");
    assert!(!document.contains("<title>1</title>") && !document.contains("<img"), "{document}");
    assert!(document.contains(r#"<p class="controls"><label>Search"#), "the data cannot be parsed: {document}");
    browser::picture(&place.run("report.html"), "hostile", View::default());
}
