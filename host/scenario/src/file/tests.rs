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

#[test]
fn whose_ledgers_are_follows_from_the_logs() {
    let world = world(
        "[[world.container]]\nid = 0\nhighest-epoch = 3\n[[world.container]]\nid = 1\n\
         [[world.bookie]]\nid = \"a:1\"\n[[world.bookie]]\nid = \"b:1\"\nentries = 9\n\
         [[world.ledger]]\nid = 3\nentries = 4\nfirst-operation = 1\nlast-operation = 6\nbookies = [\"a:1\"]\n\
         [[world.ledger]]\nid = 4\nfirst-operation = 7\nlast-operation = 8\nregistered = \"open\"\n\
         [[world.ledger]]\nid = 5\n[[world.ledger]]\nid = 6\n\
         [[world.ledger]]\nid = 7\nentries = 0\nregistered = \"closed\"\n\
         [[world.log]]\ncontainer = 0\nledgers = [3, 4]\nrestored = { closed = [4] }\n\
         [[world.log]]\ncontainer = 1\nledgers = [5]\nflaw = \"a hole\"\nsalvaged-bytes = 7\n\
         [[world.pending-work]]\nkind = \"request\"\nsubject = \"s\"\nreason = \"r\"\nznode = { path = \"a\", hex = \"ff\" }\n",
    );
    let disks = world.disks.as_ref().unwrap();
    let ledgers: Vec<_> =
        disks.ledgers.values().map(|it| (it.id, it.container, it.stray.as_str(), it.bookies.len())).collect();
    let expected = [
        (3, Some(0), "", 1),
        (4, Some(0), "", 2),
        (5, None, "not-whole", 2),
        (6, None, "no-container", 2),
        (7, None, "empty", 0),
    ];
    assert_eq!(ledgers, expected);
    let bookies: Vec<_> = disks.bookies.values().map(|it| (it.id.as_str(), it.ledgers, it.entries)).collect();
    assert_eq!(bookies, [("a:1", 4, 7), ("b:1", 3, 9)]);
    let whole = &disks.logs[&0];
    assert_eq!((whole.log.first_operation, whole.log.last_operation, whole.log.entries), (1, 8, 5));
    let restored = whole.restored.as_ref().unwrap();
    assert_eq!((restored.operations, restored.epoch, restored.znode.as_str()), (8, 6, "created"));
    assert_eq!((&restored.closed[..], restored.bridged.as_deref()), (&[4][..], None));
    assert_eq!(disks.logs[&1].restored, Err("a hole".to_owned()));
    assert_eq!(world.pending_work[0].znode.as_ref().unwrap().data, [255]);
    assert_eq!(self::world("[world]\n").disks, None, "no disks were given");
}

#[test]
fn what_contradicts_itself_on_the_disks_is_told_with_what_is_right() {
    let disks = |rest: &str| {
        format!("{HEAD}[[world.container]]\nid = 0\n[[world.bookie]]\nid = \"a:1\"\n[[world.ledger]]\nid = 3\n{rest}")
    };
    let log = |rest: &str| disks(&format!("[[world.log]]\ncontainer = 0\n{rest}"));
    for (text, line, words) in [
        (disks("[[world.bookie]]\nid = \"a:1\"\n"), 10, "the bookie `a:1` is declared twice"),
        (disks("[[world.ledger]]\nid = 3\n"), 10, "ledger 3 is declared twice"),
        (disks("entires = 1\n"), 9, "unknown field `entires`, expected one of `id`, `stray`, `entries`"),
        (disks("[[world.ledger]]\nid = -1\n"), 10, "there is no ledger -1; ids are 0 and above"),
        (disks("bookies = [\"b:1\"]\n"), 9, "there is no bookie `b:1`; there are `a:1`"),
        (disks("bookies = []\n"), 8, "nothing tells of ledger 3: let a bookie hold"),
        (
            disks("bookies = []\nregistered = \"closed\"\n"),
            8,
            "ledger 3 has entries, so `bookies` names who holds them",
        ),
        (disks("stray = \"\"\n"), 9, "no log names ledger 3, so `stray` says why, such as `no-container`"),
        (
            format!("{HEAD}[[world.ledger]]\nid = 3\nbookies = [\"b:1\"]\n"),
            5,
            "there is no bookie `b:1`: none is declared",
        ),
        (
            log("ledgers = [3]\n[[world.log]]\ncontainer = 0\nledgers = [3]\n"),
            14,
            "ledger 3 is named before, by the log of container 0",
        ),
        (
            disks(
                "[[world.ledger]]\nid = 4\n[[world.log]]\ncontainer = 0\nledgers = [3]\n[[world.log]]\ncontainer = 0\nledgers = [4]\n",
            ),
            15,
            "the log of container 0 is declared twice",
        ),
        (log("ledgers = [3, 3]\n"), 11, "it has one place in one log"),
        (log("ledgers = [4]\n"), 11, "ledger 4 is not declared; `[[world.ledger]]` with `id = 4` does"),
        (log("ledgers = []\n"), 11, "a log has at least one ledger"),
        (log("ledgers = [3]\nsalvaged-bytes = 1\n"), 12, "`salvaged-bytes` are those of a log with a `flaw`"),
        (log("ledgers = [3]\ndamaged = \"x\"\nrestored = { epoch = 1 }\n"), 13, "a log is `restored`, or it cannot be"),
        (log("ledgers = [3]\nznode = \"unjoined\"\nrestored = { epoch = 1 }\n"), 13, "or it cannot be"),
        (
            log("ledgers = [3]\nrestored = { closed = [3] }\n"),
            12,
            "`closed` names ledgers of the log that are `registered` as `open`",
        ),
        (
            log("ledgers = [3]\nrestored = { broken = true }\n"),
            12,
            "unknown field `broken`, expected one of `operations`, `epoch`",
        ),
        (
            log("ledgers = [3]\n").replace("container = 0", "container = 7"),
            10,
            "container 7 is not declared, and so has no log",
        ),
        (
            log("ledgers = [3]\n").replace("id = 3\n", "id = 3\nstray = \"empty\"\n"),
            9,
            "ledger 3 is part of the log of container 0, so it is no stray",
        ),
        (
            disks(
                "[[world.pending-work]]\nkind = \"a\"\nsubject = \"b\"\nreason = \"c\"\nznode = { path = \"p\", hex = \"0\" }\n",
            ),
            13,
            "two digits a byte",
        ),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("dir/x.toml:{line}: ")), "{error}\n{text}");
        assert!(error.contains(words), "{error} does not say {words}");
    }
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
        "[[world.bookie]]\nid = \"é\"\n[[world.ledger]]\nid = 9\n[[world.log]]\ncontainer = 0\nledgers = [9]\n",
        "restored = { bridged = \"é\" }\n[expect]\ncalls = { made = [{ call = \"storage.measure\", arguments = { names = [1979-05-27, nan] } }] }\n",
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
