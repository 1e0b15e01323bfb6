//! The binary as an operator meets it when something is wrong: what it says, which code it returns, and that nothing
//! was changed. Each test has a directory of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod registry;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory and a command that runs in it, without the environment of whoever runs the tests.
struct Workplace {
    directory: TempDir,
}

/// What a command said.
struct Said {
    code: i32,
    output: String,
    errors: String,
}

impl Workplace {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn run(&self, line: &str) -> Said {
        self.run_with(line, &[])
    }

    fn run_with(&self, line: &str, environment: &[(&str, &str)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dr"));
        command.current_dir(self.directory.path()).env_clear().envs(environment.iter().copied());
        said(command.args(line.split_whitespace()).stdin(Stdio::null()).output().unwrap())
    }

    /// Everything in the directory, to prove that nothing was changed.
    fn content(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(self.directory.path(), &mut found);
        found.sort();
        found
    }
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        }
        found.push(path);
    }
}

fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), output: text(output.stdout), errors: text(output.stderr) }
}

impl Said {
    /// It ended with this code and this error, and the error says all of these.
    #[track_caller]
    fn refuses(&self, code: i32, error: &str, words: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.output, self.errors);
        assert!(self.errors.contains(&format!("error[{error}]:")), "{}", self.errors);
        assert!(self.errors.contains("\n  next: "), "{}", self.errors);
        for word in words {
            assert!(self.errors.contains(word), "`{word}` is not in: {}", self.errors);
        }
    }
}

#[test]
fn help_and_version() {
    let place = Workplace::new();
    let help = place.run("--help");
    assert_eq!(help.code, 0);
    for word in ["list-segments", "recover", "verify", "Exit codes", "DR_PRAVEGASERVICE_CONTAINER_COUNT"] {
        assert!(help.output.contains(word), "`{word}` is not in: {}", help.output);
    }
    let recover = place.run("recover --help");
    for word in ["--config", "--tier1", "--dry-run", "--accept-live-cluster", "--set", "--containers"] {
        assert!(recover.output.contains(word), "`{word}` is not in: {}", recover.output);
    }
    assert_eq!(place.run("--version").output, format!("dr {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn arguments_that_cannot_be_understood() {
    let place = Workplace::new();
    fs::create_dir(place.path("root")).unwrap();
    for line in [
        "",
        "recover",
        "restore root",
        "recover root --force",
        "recover root --containers 3-1",
        "recover root --containers 0-4294967295",
        "recover root --container-count 0",
        "recover root --tier1 /tmp/x",
        "recover root --tier1 dir:x --zookeeper z:2181",
        "recover root --set tail",
        "recover root --output table",
        "list-segments root --output text",
        "recover root -q -v",
    ] {
        let said = place.run(line);
        assert_eq!(said.code, 2, "{line}: {}{}", said.output, said.errors);
        assert!(said.output.is_empty() && !said.errors.is_empty(), "{line}");
    }
    assert_eq!(place.content().len(), 1);
}

#[test]
fn a_root_that_is_missing_wrong_or_empty() {
    let place = Workplace::new();
    place.write("file", "");
    place.run("list-segments absent").refuses(2, "root-missing", &["absent", "filesystem.root"]);
    place.run("recover absent --tier1 dir:t --yes").refuses(2, "root-missing", &["absent"]);
    place.run("verify absent --tier1 dir:t").refuses(2, "root-missing", &["absent"]);
    place.run("list-segments file").refuses(2, "root-wrong", &["not a directory"]);
    fs::create_dir(place.path("empty")).unwrap();
    place.run("list-segments empty").refuses(2, "tier2-empty", &["filesystem.root"]);
    place.run("recover empty --tier1 dir:t --yes").refuses(2, "tier2-empty", &[]);
    assert!(place.content().iter().all(|path| !path.starts_with(place.path("empty")) || path == &place.path("empty")));
}

#[test]
fn a_root_that_is_not_pravegas_or_one_level_off() {
    let place = Workplace::new();
    place.write("other/photo.jpg", "x").write("above/tier2/_system/containers/metadata_0.E-1-O-0.0-x", "x");
    place.run("list-segments other").refuses(2, "tier2-not-pravega", &[]);
    place.run("list-segments above").refuses(2, "tier2-not-pravega", &["one level too high", "tier2"]);
}

#[test]
fn a_rolling_layout_is_refused() {
    let place = Workplace::new();
    place.write("root/scope/stream/0.#epoch.0$header", "x").write("root/scope/stream/0.#epoch.0$offset.0", "x");
    place.run("list-segments root").refuses(3, "rolling-layout", &["chunked"]);
}

#[test]
fn what_a_later_pravega_wrote_is_not_recovered() {
    for key in ["_sysjournal.container0.snapshot_info", "container_0_epoch"] {
        let place = Workplace::new();
        place.write(&format!("root/_system/containers/{key}"), "x");
        place.run("recover root --tier1 dir:t --cluster lab --dry-run").refuses(3, "newer-version", &[key]);
        assert_eq!(place.run("list-segments root").code, 0);
    }
}

#[test]
fn configuration_files_that_cannot_be_read() {
    let place = Workplace::new();
    place.write("root/x", "").write("bad.properties", "a=b\npravegaservice.clusterName=\\u00zz\n");
    place.run("list-segments root --config absent.properties").refuses(
        2,
        "configuration-unreadable",
        &["absent.properties", "--config"],
    );
    place.run("list-segments root --config root").refuses(2, "configuration-unreadable", &["root"]);
    place.run("recover root --tier1 dir:t --config bad.properties").refuses(2, "configuration-syntax", &["line 2"]);
}

#[test]
fn what_is_missing_is_asked_for_by_name() {
    let place = Workplace::new();
    place.write("root/x", "");
    let said = place.run("recover root --yes");
    said.refuses(2, "configuration-missing", &["pravegaservice.zk.connect.uri", "--zookeeper", "--tier1 dir:PATH"]);
    place.run("verify root").refuses(2, "configuration-missing", &["--zookeeper"]);
}

#[test]
fn what_cannot_be_recovered_is_refused_before_anything_is_read() {
    let place = Workplace::new();
    place.write("root/x", "");
    for (line, reason) in [
        ("pravegaservice.storage.impl.name=HDFS", "FILESYSTEM"),
        ("pravegaservice.storage.layout=ROLLING_STORAGE", "CHUNKED_STORAGE"),
        ("pravegaservice.dataLog.impl.name=INMEMORY", "BOOKKEEPER"),
    ] {
        place.write("store.properties", line);
        let said = place.run("recover root --tier1 dir:t --yes --config store.properties");
        said.refuses(2, "configuration-unsupported", &[reason, "store.properties:1"]);
    }
    assert!(!place.path("t").exists());
}

#[test]
fn values_that_are_impossible_or_contradict() {
    let place = Workplace::new();
    place.write("root/x", "").write("store.properties", "bookkeeper.ensemble.size=2\nbookkeeper.bkPass=hunter2\n");
    let said = place.run("recover root --tier1 dir:t --config store.properties");
    said.refuses(2, "configuration-value", &["bookkeeper.ensemble.size", "bookkeeper.write.quorum.size"]);
    assert!(!said.errors.contains("hunter2"));
    let environment = [("DR_BOOKKEEPER_ENSEMBLE_SIZE", "x")];
    let said = place.run_with("recover root --tier1 dir:t --config store.properties", &environment);
    said.refuses(2, "configuration-value", &["DR_BOOKKEEPER_ENSEMBLE_SIZE"]);
    place.write("other.properties", "pravegaservice.clusterName=a\ncontroller.cluster.name=b\n");
    let said = place.run("recover root --tier1 dir:t --config other.properties");
    said.refuses(2, "configuration-conflict", &["--cluster"]);
}

#[test]
fn nobody_to_ask() {
    let place = Workplace::new();
    place.write("root/x", "");
    place.run("recover root --tier1 dir:t").refuses(3, "no-terminal", &["--yes", "--dry-run"]);
    assert!(!place.path("t").exists());
}

#[test]
fn the_built_in_procedure_is_an_ordinary_one() {
    let place = Workplace::new();
    let listed = place.run("procedure list");
    assert!(listed.code == 0 && listed.output.contains("total-loss") && listed.output.contains("built in"));
    let sheet = place.run("procedure inspect total-loss@0.1");
    assert_eq!(sheet.code, 0, "{}", sheet.errors);
    for word in ["pravega:recovery@0.1.0, world procedure", "describe, prepare, run, finish", "tail", "fuel", "SHA-256"]
    {
        assert!(sheet.output.contains(word), "`{word}` is not in: {}", sheet.output);
    }
    let events = place.run("procedure inspect total-loss --output json").output;
    assert!(events.contains(r#""event":"procedure-inspected""#) && events.contains(r#""sha256":""#), "{events}");

    assert_eq!(place.run("procedure export total-loss copy.wasm").code, 0);
    place.run("procedure export total-loss copy.wasm").refuses(3, "procedure-file-exists", &["copy.wasm"]);
    place.run("procedure export total-loss absent/copy.wasm").refuses(1, "procedure-unwritable", &["absent"]);
    let of_copy = place.run("procedure inspect copy.wasm").output;
    let of_copy = of_copy.replace("copy.wasm", "the built-in procedure total-loss");
    assert_eq!(without_signature(&of_copy), without_signature(&sheet.output));
}

/// A sheet without the line that says who vouches for it.
fn without_signature(sheet: &str) -> Vec<&str> {
    let lines: Vec<&str> = sheet.lines().filter(|line| !line.starts_with("signature")).collect();
    assert_eq!(lines.len() + 1, sheet.lines().count(), "{sheet}");
    lines
}

#[test]
fn a_procedure_is_signed_registered_and_verified() {
    let place = Workplace::new();
    let done = |line: &str| {
        let said = place.run(line);
        assert_eq!(said.code, 0, "{line}: {}{}", said.output, said.errors);
        said.output
    };
    for name in ["ours", "theirs"] {
        done(&format!("procedure keygen {name}"));
    }
    place.run("procedure keygen ours").refuses(3, "key-exists", &["ours"]);
    done("procedure export total-loss copy.wasm");
    place.run("procedure verify copy.wasm --trust ours.pub").refuses(3, "procedure-unsigned", &["copy.wasm.sig"]);

    let signed = done("procedure sign copy.wasm --key theirs");
    assert!(signed.contains("total-loss@0.1.0 is signed with the key "), "{signed}");
    place.run("procedure verify copy.wasm --trust ours.pub").refuses(3, "procedure-untrusted", &["--trust"]);
    assert!(done("procedure inspect copy.wasm --trust ours.pub").contains("by nobody who is trusted"));
    done("procedure sign copy.wasm --key ours");
    assert!(done("procedure sign copy.wasm --key ours").contains("was signed already"));
    let verified = done("procedure verify copy.wasm --trust ours.pub");
    for word in ["good, by the trusted key", "total-loss", "0.1.0", "pravega:recovery@0.1.0", "storage.list-segments"] {
        assert!(verified.contains(word), "`{word}` is not in: {verified}");
    }

    done("procedure add copy.wasm --procedure-directory shelf");
    fs::create_dir(place.path("shelf/trusted-keys")).unwrap();
    fs::copy(place.path("theirs.pub"), place.path("shelf/trusted-keys/theirs.pub")).unwrap();
    fs::rename(place.path("shelf/procedures.toml"), place.path("registry")).unwrap();
    let registry = fs::read_to_string(place.path("registry")).unwrap();
    place.write("shelf/procedures.toml", &registry.replace("name = \"total-loss\"", "name = \"other\""));
    // The registry calls it otherwise, which is found out later than the signature: the latter is checked first.
    let environment = [("DR_PROCEDURE_DIRECTORY", "shelf"), ("DR_REQUIRE_SIGNATURE", "1")];
    assert_eq!(place.run_with("procedure verify other", &environment).code, 0);
    place.run_with("procedure inspect other", &environment).refuses(3, "procedure-mislabelled", &[]);
    let sheet = place.run_with("procedure inspect total-loss", &environment).output;
    assert!(sheet.contains("part of this binary"), "{sheet}");
}

#[test]
fn what_was_compiled_is_kept_where_nobody_else_can_write() {
    let place = Workplace::new();
    let inspect = |rest: &str| {
        let said = place.run_with(&format!("procedure inspect total-loss {rest}"), &[("DR_CACHE", "cache")]);
        assert_eq!(said.code, 0, "{}", said.errors);
        said.output
    };
    let sheet = inspect("--no-cache");
    assert!(!place.path("cache").exists());
    assert_eq!(inspect(""), sheet);
    let entries: Vec<PathBuf> = place.content().into_iter().filter(|path| path.is_file()).collect();
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    let compiled = fs::read(entry).unwrap();
    // What is damaged is compiled again, and replaced.
    fs::write(entry, &compiled[..compiled.len() / 2]).unwrap();
    assert_eq!(inspect(""), sheet);
    assert_eq!(fs::read(entry).unwrap(), compiled);
    assert_eq!(inspect(""), sheet);

    fs::set_permissions(entry.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o770)).unwrap();
    let said = place.run("procedure inspect total-loss --cache cache");
    said.refuses(2, "cache-unusable", &["others can write to it", "--no-cache"]);
    let home = place.run_with("procedure inspect total-loss", &[("HOME", place.directory.path().to_str().unwrap())]);
    assert!(home.code == 0 && place.path(".cache/pravega-dr/modules").is_dir(), "{}", home.errors);
}

#[test]
fn what_is_not_signed_as_required_is_not_even_compiled() {
    let place = Workplace::new();
    place.write("root/x", "").write("text.wasm", "this is no component");
    assert_eq!(place.run("procedure keygen key").code, 0);
    for command in ["recover root --tier1 dir:t --yes --procedure", "plan root --tier1 dir:t -d p --procedure"] {
        let said = place.run(&format!("{command} text.wasm --require-signature --trust key.pub"));
        said.refuses(3, "procedure-unsigned", &["text.wasm.sig"]);
    }
    place.run("procedure inspect text.wasm --require-signature").refuses(3, "procedure-unsigned", &[]);
    place.run("procedure add text.wasm --require-signature --procedure-directory shelf").refuses(
        3,
        "procedure-unsigned",
        &[],
    );
    place.run("procedure sign text.wasm --key key").refuses(2, "procedure-invalid", &["not WebAssembly"]);
    place.run("procedure sign text.wasm --key key.pub").refuses(3, "key-exposed", &["chmod 600 key.pub"]);

    // A signature of other bytes is refused whether or not one is required.
    assert_eq!(place.run("procedure export total-loss copy.wasm").code, 0);
    assert_eq!(place.run("procedure sign copy.wasm --key key").code, 0);
    fs::rename(place.path("copy.wasm.sig"), place.path("text.wasm.sig")).unwrap();
    let said = place.run("recover root --tier1 dir:t --yes --procedure text.wasm");
    said.refuses(3, "procedure-signature-wrong", &["SHA-256", "was signed"]);
    place.write("text.wasm.sig", "{}");
    place.run("procedure inspect text.wasm").refuses(3, "procedure-signature-wrong", &["payloadType"]);
    assert!(!place.path("t").exists() && !place.path("p").exists() && !place.path("shelf").exists());
}

#[test]
fn procedures_of_a_directory_have_names_and_versions() {
    let place = Workplace::new();
    let missing = place.run("procedure inspect total-loss@9");
    missing.refuses(
        2,
        "procedure-missing",
        &["`total-loss@9`", "total-loss@0.1.0 (built in)", "--procedure-directory"],
    );
    place.run("procedure list --procedure-directory shelf").refuses(2, "procedure-directory", &["procedures.toml"]);
    place.write("total-loss", "a file with the name of a procedure");
    place.run("procedure inspect total-loss").refuses(2, "procedure-ambiguous", &["./total-loss"]);
    fs::remove_file(place.path("total-loss")).unwrap();

    assert_eq!(place.run("procedure export total-loss copy.wasm").code, 0);
    for outcome in ["is registered", "was registered already"] {
        let added = place.run("procedure add copy.wasm --procedure-directory shelf");
        assert!(added.code == 0 && added.output.contains(outcome), "{}{}", added.output, added.errors);
    }
    let environment = [("DR_PROCEDURE_DIRECTORY", "shelf")];
    let listed = place.run_with("procedure list", &environment);
    assert!(listed.output.contains("total-loss-0.1.0.wasm"), "{}", listed.output);
    // The same bytes in two places are one procedure.
    assert_eq!(place.run_with("procedure inspect total-loss@0.1.0", &environment).code, 0);

    let registry = fs::read_to_string(place.path("shelf/procedures.toml")).unwrap();
    place.write("shelf/procedures.toml", &registry.replace("0.1.0\"", "7.1.0\""));
    let said = place.run_with("procedure inspect total-loss@7", &environment);
    said.refuses(3, "procedure-mislabelled", &["calls itself total-loss 0.1.0", "calls it total-loss 7.1.0"]);

    place.write("shelf/total-loss-0.1.0.wasm", "changed").write("root/x", "");
    let said = place.run_with("recover root --tier1 dir:t --yes --procedure total-loss@7", &environment);
    said.refuses(3, "procedure-changed", &["total-loss-0.1.0.wasm", "SHA-256"]);
    assert!(!place.path("t").exists());
}

#[test]
fn procedures_and_settings_that_are_wrong() {
    let place = Workplace::new();
    place.write("root/x", "").write("text.wasm", "this is no component");
    let with = |rest: &str| place.run(&format!("recover root --tier1 dir:t --yes {rest}"));
    with("--procedure absent.wasm").refuses(2, "procedure-unreadable", &["absent.wasm"]);
    with("--procedure text.wasm").refuses(2, "procedure-invalid", &["text.wasm"]);
    with("--set colour=red").refuses(2, "configuration-setting", &["colour"]);
    with("--set tail=as-is --set tail=as-is").refuses(2, "configuration-setting", &["twice"]);
    assert!(!place.path("t").exists());
}

#[test]
fn grants_and_policies_that_are_wrong() {
    let place = Workplace::new();
    place
        .write("root/x", "")
        .write("wrong.toml", "[[procedure]]\nname = \"total-loss\"\ngrant = [\"storage.move-asid\"]\n");
    let with = |rest: &str| place.run(&format!("recover root --tier1 dir:t --yes {rest}"));
    let typo = with("--grant storage.move-asid,coordination.set");
    assert!(typo.code == 2 && typo.errors.contains("did you mean `storage.move-aside`?"), "{}", typo.errors);
    with("--policy absent.toml").refuses(2, "policy-unreadable", &["absent.toml", "DR_POLICY"]);
    with("--policy wrong.toml").refuses(
        2,
        "policy-invalid",
        &["wrong.toml", "in [[procedure]] total-loss", "did you mean"],
    );
    let said = place.run_with("procedure inspect total-loss", &[("DR_POLICY", "wrong.toml")]);
    said.refuses(2, "policy-invalid", &["wrong.toml"]);
    assert!(!place.path("t").exists());
}

#[test]
fn a_sheet_says_what_is_granted() {
    let place = Workplace::new();
    place.write(
        "policy.toml",
        "[[procedure]]\nname = \"total-loss\"\ndeny = [\"storage.measure\"]\nznodes = [\"counter\"]\n\n[limits]\nfuel = 987654321\n",
    );
    let sheet = |line: &str| place.run(&format!("procedure inspect total-loss {line}")).output;
    let row = |sheet: &str| sheet.lines().find(|line| line.starts_with("granted")).unwrap().to_owned();
    assert_eq!(row(&sheet("")), "granted    all of this");
    let limited = sheet("--policy policy.toml");
    assert!(row(&limited).ends_with("; only ZNodes below counter; the policy denies storage.measure"), "{limited}");
    assert!(limited.contains("987,654,321"), "{limited}");
}

#[test]
fn servers_that_do_not_answer() {
    let place = Workplace::new();
    place.write("root/x", "");
    // Port 1 of this machine refuses connections at once.
    let said = place.run("recover root --zookeeper 127.0.0.1:1 --cluster lab --yes");
    said.refuses(1, "tier1-unavailable", &["127.0.0.1:1", "retry:"]);
}

#[test]
fn a_tier1_that_is_not_there_is_not_made_by_verify() {
    let place = Workplace::new();
    place.write("root/x", "");
    place.run("verify root --tier1 dir:absent").refuses(2, "tier1-absent", &["absent"]);
    assert!(!place.path("absent").exists());
}

#[test]
fn errors_in_json_are_events_and_the_last_event_has_the_code() {
    let place = Workplace::new();
    let said = place.run("recover absent --tier1 dir:t --yes --output json");
    let lines: Vec<_> = said.output.lines().collect();
    assert_eq!(
        lines[0],
        format!(
            r#"{{"version":1,"event":"started","command":"recover","dr_version":"{}"}}"#,
            env!("CARGO_PKG_VERSION")
        )
    );
    assert!(lines[1].starts_with(r#"{"version":1,"event":"error","code":"root-missing","what":"#), "{}", lines[1]);
    assert_eq!(lines[2], r#"{"version":1,"event":"finished","exit_code":2}"#);
    assert_eq!(said.code, 2);
}

#[test]
fn a_log_level_that_cannot_be_understood() {
    let place = Workplace::new();
    place.run("list-segments absent --log-level dr=loud").refuses(2, "configuration-log-level", &["debug"]);
    place.run_with("list-segments absent", &[("RUST_LOG", "dr=loud")]).refuses(2, "configuration-log-level", &[]);
}

/// Codes are a contract with scripts: each one that the sources can return is explained to the operator.
#[test]
fn every_error_code_is_documented() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let documented = fs::read_to_string(workspace.join("docs/errors.md")).unwrap();
    let mut sources = Vec::new();
    for part in ["host/dr/src", "host/engine/src"] {
        collect(&workspace.join(part), &mut sources);
    }
    let mut codes = 0;
    for path in sources.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for call in text.split("OperatorError::new(").skip(1) {
            let Some(code) = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                continue;
            };
            assert!(documented.contains(&format!("`{code}`")), "docs/errors.md lacks `{code}` of {}", path.display());
            codes += 1;
        }
    }
    assert!(codes > 50, "only {codes} codes were found; does this test still read the sources?");
}

#[test]
fn every_shell_gets_completions_and_every_command_a_manual_page() {
    let place = Workplace::new();
    let help = place.run("--help").output;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is indented further continues the line before.
    let commands = commands.filter(|line| !line.starts_with("   "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 12 && commands.contains(&"diagnose"), "{commands:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&format!("completions {shell}"));
        assert_eq!(script.code, 0, "{}", script.errors);
        for word in commands.iter().chain(&["accept-live-cluster", "read-data"]) {
            assert!(script.output.contains(word), "`{word}` is not in the completions of {shell}");
        }
    }
    assert_eq!(place.run("completions tcsh").code, 2);

    assert_eq!(place.run("man pages").code, 0);
    for command in commands.iter().filter(|command| **command != "help") {
        let page = fs::read_to_string(place.path(&format!("pages/dr-{command}.1"))).unwrap();
        assert!(page.starts_with(".ie") && page.contains(".SH OPTIONS"), "{page}");
    }
    let recover = fs::read_to_string(place.path("pages/dr-recover.1")).unwrap();
    for flag in ["accept\\-live\\-cluster", "run\\-directory", "zookeeper"] {
        assert!(recover.contains(flag), "`{flag}` is not in {recover}");
    }
    place.write("file", "");
    place.run("man file").refuses(1, "manual-unwritable", &["file"]);
}

#[test]
fn no_colours_and_no_bars_where_there_is_no_terminal() {
    let place = Workplace::new();
    for environment in [&[][..], &[("NO_COLOR", "1")], &[("CLICOLOR_FORCE", "0")]] {
        let said = place.run_with("diagnose nowhere", environment);
        assert_eq!(said.code, 5, "{}", said.errors);
        assert!(!said.output.contains('\u{1b}') && !said.errors.contains('\u{1b}'), "{}{}", said.output, said.errors);
    }
    let quiet = place.run("diagnose nowhere -q");
    assert!(quiet.errors.is_empty() && !quiet.output.is_empty(), "{}", quiet.errors);
}

/// A scenario with one torn event, which the built-in procedure cuts off.
const SCENARIO: &str = "scenario = 1\nname = \"torn\"\n[[world.container]]\nid = 0\n[[world.container.segment]]\n\
     name = \"s/t/0.#epoch.0\"\nlength = 100\nmeasurement = { whole-length = 90 }\n";

#[test]
fn a_scenario_passes_fails_or_is_updated() {
    let place = Workplace::new();
    let created = |length| {
        format!(
            "{SCENARIO}[expect.effects]\n# the length\ncreated = [{{ container = 0, segment = \"s/t/0.#epoch.0\", length = {length} }}]\n"
        )
    };
    place.write("suite/good.toml", &created(90)).write("bad.toml", &created(100));
    let good = place.run("test suite --faults exhaustive --no-cache");
    assert_eq!(good.code, 0, "{}{}", good.output, good.errors);
    assert!(good.output.contains("passed") && good.output.ends_with("\n1 scenario, all passed\n"), "{}", good.output);

    let bad = place.run("test suite bad.toml total-loss --junit junit.xml --no-cache");
    assert_eq!(bad.code, 5, "{}{}", bad.output, bad.errors);
    let shown = "\ntorn (bad.toml, procedure total-loss)\n  effects.created\n    \
         expected: { container = 0, segment = \"s/t/0.#epoch.0\", length = 100 }\n    \
         got:      { container = 0, segment = \"s/t/0.#epoch.0\", length = 90 }\n\n2 scenarios, 1 failed\n";
    assert!(bad.output.ends_with(shown), "{}", bad.output);
    let junit = fs::read_to_string(place.path("junit.xml")).unwrap();
    assert!(junit.contains(r#"<testsuite name="dr test" tests="2" failures="1">"#), "{junit}");
    assert!(
        junit.contains(r#"<failure message="effects.created: expected { container = 0, segment = &quot;s/t"#),
        "{junit}"
    );

    assert_eq!(place.run("test bad.toml --update --no-cache").code, 0);
    let updated = fs::read_to_string(place.path("bad.toml")).unwrap();
    assert!(updated.contains("# the length\ncreated = [\n") && updated.contains("length = 90 }"), "{updated}");
    assert_eq!(place.run("test bad.toml --no-cache").code, 0);
}

#[test]
fn a_scenario_that_cannot_be_used_is_refused_before_any_runs() {
    let place = Workplace::new();
    place.write("good.toml", SCENARIO).write("typo.toml", &SCENARIO.replace("length = 100", "lenght = 100"));
    place.run("test good.toml typo.toml").refuses(
        2,
        "scenario-invalid",
        &["typo.toml:7: unknown field `lenght`", "`start-offset`"],
    );
    place.run("test nothing.toml").refuses(2, "scenario-unreadable", &["nothing.toml"]);
    place.run("test total-loss").refuses(2, "configuration-test", &["no scenario is named"]);
    place.run("test good.toml a b").refuses(2, "configuration-test", &["a and b are no scenarios"]);
    place.run("test good.toml ./missing.wasm").refuses(2, "procedure-unreadable", &["missing.wasm"]);
    place.write("tree.toml", "scenario = 1\nname = \"x\"\n[tree]\npath = \"good.toml\"\n");
    place.run("test tree.toml --no-cache").refuses(2, "scenario-tree", &["good.toml", "tar"]);
    // What expects nothing proves nothing.
    let empty = place.run("test good.toml --no-cache");
    assert!(empty.code == 5 && empty.output.contains("written by hand or by --update"), "{}", empty.output);
}
