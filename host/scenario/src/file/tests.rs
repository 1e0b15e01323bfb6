//! What is left out has its usual value; what is wrong is told with its line; nothing panics.

use std::path::Path;

use dr_runtime::mock::World;

use super::*;

const HEAD: &str = "scenario = 1\nname = \"x\"\n";

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(Path::new("dir/x.toml"), text.to_owned())
}

fn world(text: &str) -> Arc<World> {
    match parse(&format!("{HEAD}{text}")).unwrap().source {
        Source::World(world) => world,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_left_out_has_its_usual_value() {
    let world = world(
        "[[world.container]]\nid = 2\n[[world.container.segment]]\nname = \"s/t/0.#epoch.0\"\nlength = 10\n\
         [[world.container.segment]]\nname = \"s/u/0.#epoch.0\"\nlength = 10\nstanding = \"unrecorded\"\n\
         [[world.container.row]]\nname = \"s/t/0.#epoch.0\"\nattributes = { 10 = 1, 9 = -2 }\n\
         [[world.stream]]\nscope = \"s\"\nname = \"t\"\n[[world.znode]]\npath = \"a\"\nhex = \"00ff\"\n",
    );
    let container = &world.containers[&2];
    let declared = &container.segments["s/t/0.#epoch.0"];
    let segment = &declared.segment;
    assert_eq!((segment.kind.as_str(), segment.standing.as_str(), segment.container), ("stream", "live", 2));
    assert_eq!((segment.recorded_length, segment.row_length), (Some(10), Some(10)));
    assert_eq!((declared.measure.content.as_str(), declared.measure.whole_length), ("events", 10));
    assert_eq!(declared.objects["s/t/0.#epoch.0.E-1-O-0"], 10);
    let unrecorded = &container.segments["s/u/0.#epoch.0"].segment;
    assert_eq!((unrecorded.recorded_length, unrecorded.row_length), (None, None));
    let attributes: Vec<_> = container.rows["s/t/0.#epoch.0"].attributes.iter().map(|it| (it.id, it.value)).collect();
    assert_eq!(attributes, [(9, -2), (10, 1)]);
    assert_eq!((container.summary(2).objects, container.metadata_objects.len()), (3, 1));
    assert_eq!(world.streams[0].retention_znode, "buckets/0/cy90");
    assert_eq!((&world.znodes["a"].data[..], world.znodes["a"].version), (&[0, 255][..], 0));
}

#[test]
fn settings_are_texts_and_files_are_meant_from_the_directory() {
    let text = format!(
        "{HEAD}procedure = \"../p.wasm\"\nselected = [1]\n[settings]\na = 1\nb = true\nc = \"x\"\n[tree]\npath = \"tree\"\n"
    );
    let scenario = parse(&text).unwrap();
    assert_eq!(scenario.procedure.as_deref(), Some("dir/../p.wasm"));
    let settings: Vec<_> = scenario.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(settings, ["a=1", "b=true", "c=x"]);
    assert!(matches!(scenario.source, Source::Tree(Tree { path, .. }) if path == Path::new("dir/tree")));
    let named = parse(&format!("{HEAD}procedure = \"total-loss@0.1\"\n[recording]\npath = \"r\"\n")).unwrap();
    assert_eq!(named.procedure.as_deref(), Some("total-loss@0.1"));
}

/// A beginning without a world, then what is wrong: the line of the error, and words that it says.
#[test]
fn what_is_wrong_is_told_with_file_line_key_and_what_is_possible() {
    let segment =
        |rest: &str| format!("{HEAD}[[world.container]]\nid = 0\n[[world.container.segment]]\nname = \"a\"\n{rest}");
    let row = |rest: &str| format!("{HEAD}[[world.container]]\nid = 0\n[[world.container.row]]\nname = \"a\"\n{rest}");
    let expect = |rest: &str| format!("{HEAD}[world]\n[expect]\n{rest}");
    for (text, line, words) in [
        (String::new(), 1, "scenario = 1"),
        ("scenario = 2\n[future]\n".to_owned(), 1, "this dr reads 1, not 2; in: scenario = 2"),
        ("scenario = \"1\"\n".to_owned(), 1, "expected i64"),
        ("scenario = 1\nname = \n".to_owned(), 2, "name ="),
        ("scenario = 1\n[world]\n".to_owned(), 1, "missing field `name`"),
        ("scenario = 1\nname = \" \"\n[world]\n".to_owned(), 2, "`name` is one line"),
        (HEAD.to_owned(), 1, "exactly one of `world`"),
        (format!("{HEAD}[world]\n[tree]\npath = \"a\"\n"), 4, "this is another one; in: [tree]"),
        (format!("{HEAD}[wrold]\n"), 3, "unknown field `wrold`, expected one of `scenario`, `name`, `procedure`"),
        (format!("{HEAD}[settings]\na = [1]\n[world]\n"), 4, "a setting is a text"),
        (format!("{HEAD}[[world.container]]\nid = -1\n"), 4, "expected u32; in: id = -1"),
        (
            format!("{HEAD}[[world.container]]\nid = 0\n[[world.container]]\nid = 0\n"),
            6,
            "container 0 is declared twice",
        ),
        (segment("lenght = 1\n"), 7, "unknown field `lenght`, expected one of `name`, `kind`"),
        (segment("length = \"1\"\n"), 7, "expected u64; in: length = \"1\""),
        (segment("length = 1\nstart-offset = 2\n"), 7, "`length` 1 lies before `start-offset` 2"),
        (segment("length = 1\nmeasurement = { whole-length = 2 }\n"), 8, "`whole-length` 2 lies outside"),
        (
            segment("length = 1\n[[world.container.segment]]\nname = \"a\"\nlength = 1\n"),
            9,
            "`a` is declared twice in container 0",
        ),
        (row("attributes = { x = 1 }\n"), 7, "`x` is no id of a core attribute"),
        (row("[[world.container.row]]\nname = \"a\"\n"), 8, "the row of `a` is declared twice"),
        (format!("{HEAD}[[world.znode]]\npath = \"a\"\nhex = \"0\"\n"), 5, "two digits a byte"),
        (format!("{HEAD}[[world.znode]]\npath = \"a\"\nhex = \"00\"\ntext = \"\"\n"), 5, "not both"),
        (format!("{HEAD}[[world.znode]]\npath = \"a\"\n[[world.znode]]\npath = \"a\"\n"), 6, "`a` is declared twice"),
        (
            format!(
                "{HEAD}[[world.container]]\nid = 0\n[[world.container.transaction]]\nid = \"\"\nstream = \"\"\nstatus = \"\"\noutcome = \"\"\ntable = \"t\"\n"
            ),
            10,
            "names no segment",
        ),
        (expect("outcome = \"sucess\"\n"), 5, "there is no outcome `sucess`; there are `success`, `not-found`"),
        (
            expect("[expect.calls]\nnever = [\"storage.mesure\"]\n"),
            6,
            "there is no call `storage.mesure`; there are `storage.containers`",
        ),
        (expect("[expect.calls]\norder = \"strictly\"\n"), 6, "expected one of `any`, `ordered`, `strict`"),
        (
            expect("[expect.effects]\ncreatd = []\n"),
            6,
            "unknown field `creatd`, expected one of `containers`, `created`",
        ),
        (
            expect("[expect.effects]\nznodes = [{ path = \"a\", change = \"gone\" }]\n"),
            6,
            "expected one of `created`, `set`, `deleted`",
        ),
        (expect("losses = [{ container = 0, segment = \"a\", first = 0, reson = \"torn\" }]\n"), 5, "`reson`"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("dir/x.toml:{line}: ")), "{error}\n{text}");
        assert!(error.contains(words), "{error} does not say {words}");
    }
}

/// Cut anywhere, or with any byte another one: an error or another scenario.
#[test]
fn nothing_panics() {
    let whole = concat!(
        "scenario = 1\nname = \"x\"\n[[world.container]]\nid = 0\n[[world.container.segment]]\nname = \"é\"\nlength = 1\n",
        "measurement = { whole-length = 1 }\n[[world.container.row]]\nname = \"é\"\nattributes = { 1 = 1 }\n",
        "[expect]\ncalls = { made = [{ call = \"storage.measure\", arguments = { names = [1979-05-27, nan] } }] }\n",
    );
    assert!(parse(whole).is_ok(), "{:?}", parse(whole));
    for (end, _) in whole.char_indices() {
        drop(parse(&whole[..end]));
    }
    for (at, character) in whole.char_indices() {
        for other in ["\"", "[", "=", "\n", "9", "\u{0}", "é"] {
            let mut text = whole.to_owned();
            text.replace_range(at..at + character.len_utf8(), other);
            drop(parse(&text));
        }
    }
}
