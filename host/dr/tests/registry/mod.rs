//! Procedures in a registry: `dr procedure push` and `pull` against a small one, which speaks the part of the OCI
//! distribution protocol that an artifact needs.

mod server;

use std::fs;

use self::server::{Login, Server};
use crate::Workplace;

/// A directory with a signed procedure, a key, and a registry.
struct Place {
    workplace: Workplace,
    server: Server,
}

impl Place {
    fn new(login: Login) -> Self {
        let place = Self { workplace: Workplace::new(), server: Server::start(login) };
        for line in
            ["procedure export total-loss copy.wasm", "procedure keygen key", "procedure sign copy.wasm --key key"]
        {
            assert_eq!(place.workplace.run(line).code, 0, "{line}");
        }
        place
    }

    fn run(&self, line: &str) -> crate::Said {
        self.workplace.run(&line.replace("REGISTRY", &self.server.address()))
    }

    fn done(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, 0, "{line}: {}{}", said.output, said.errors);
        said.output
    }
}

const PULL: &str = "procedure pull REGISTRY/recovery/total-loss:0.1.0 --procedure-directory shelf";

#[test]
fn what_was_pushed_is_pulled_with_its_signatures() {
    let place = Place::new(Login::Nobody);
    let pushed = place.done("procedure push copy.wasm REGISTRY/recovery/total-loss");
    assert!(
        pushed.contains("/recovery/total-loss:0.1.0@sha256:") && pushed.contains("with its signatures"),
        "{pushed}"
    );
    // The same procedure is the same artifact.
    assert_eq!(place.done("procedure push copy.wasm REGISTRY/recovery/total-loss:0.1.0"), pushed);

    let pulled = place.done(&format!("{PULL} --require-signature --trust key.pub"));
    assert!(pulled.contains("total-loss@0.1.0 is registered in shelf; signature good"), "{pulled}");
    let read = |name: &str| fs::read(place.workplace.path(name)).unwrap();
    assert_eq!(read("copy.wasm"), read("shelf/total-loss-0.1.0.wasm"));
    assert_eq!(read("copy.wasm.sig"), read("shelf/total-loss-0.1.0.wasm.sig"));
    let digest = pushed.split(['@', ' ']).nth(1).unwrap();
    let by_digest = format!("procedure pull REGISTRY/recovery/total-loss@{digest} --procedure-directory shelf");
    assert!(place.done(&by_digest).contains("was registered already"));

    let manifest = place.server.manifest("recovery/total-loss", "0.1.0");
    for word in ["application/vnd.wasm.config.v0+json", "application/wasm", "pravega.recovery.signatures"] {
        assert!(manifest.contains(word), "{manifest}");
    }
    let config = place.server.config("recovery/total-loss", "0.1.0");
    for word in [r#""architecture":"wasm","os":"wasip2","layerDigests":["sha256:"#, "pravega:recovery/storage@0.1.0"] {
        assert!(config.contains(word), "{config}");
    }
}

#[test]
fn a_procedure_of_a_registry_has_to_be_signed_where_that_is_required() {
    let place = Place::new(Login::Nobody);
    fs::remove_file(place.workplace.path("copy.wasm.sig")).unwrap();
    let pushed = place.done("procedure push copy.wasm REGISTRY/recovery/total-loss:0.1.0");
    assert!(pushed.contains("without signatures"), "{pushed}");
    place.run(&format!("{PULL} --require-signature --trust key.pub")).refuses(3, "procedure-unsigned", &["none came"]);
    assert!(!place.workplace.path("shelf").exists());
    // It is signed later, which makes another artifact of the same component.
    place.done("procedure sign copy.wasm --key key");
    assert_ne!(place.done("procedure push copy.wasm REGISTRY/recovery/total-loss:0.1.0"), pushed);
    place.done(&format!("{PULL} --require-signature --trust key.pub"));
}

#[test]
fn what_a_registry_sends_is_what_was_asked_for_or_is_refused() {
    let place = Place::new(Login::Nobody);
    place.run(PULL).refuses(2, "registry-missing", &["recovery/total-loss:0.1.0"]);
    place.done("procedure push copy.wasm REGISTRY/recovery/total-loss:0.1.0");
    for line in
        ["procedure pull REGISTRY/recovery/total-loss --procedure-directory shelf", "procedure push copy.wasm REGISTRY"]
    {
        place.run(line).refuses(2, "registry-reference", &[]);
    }
    let manifest = place.server.manifest("recovery/total-loss", "0.1.0");
    let with = |from: &str, to: &str| {
        place.server.put_manifest("recovery/total-loss", "0.1.0", &manifest.replace(from, to));
        place.run(PULL)
    };
    with("application/wasm", "text/plain").refuses(3, "registry-artifact", &["text/plain"]);
    let size = format!("\"size\":{}", fs::metadata(place.workplace.path("copy.wasm")).unwrap().len());
    with(&size, "\"size\":99999999999").refuses(3, "registry-artifact", &["more than the limit"]);
    assert_ne!(with(&size, "\"size\":10").code, 0);
    with("application/vnd.in-toto+json", "text/plain").refuses(3, "procedure-signature-wrong", &["text/plain"]);
    let digest = format!("sha256:{}", "ab".repeat(32));
    let by_digest = format!("procedure pull REGISTRY/recovery/total-loss@{digest} --procedure-directory shelf");
    place.server.put_manifest("recovery/total-loss", &digest, &manifest);
    place.run(&by_digest).refuses(3, "registry-digest", &["its digest is sha256:"]);

    place.server.put_manifest("recovery/total-loss", "0.1.0", &manifest);
    place.server.damage_blobs();
    place.run(PULL).refuses(3, "registry-digest", &["its digest is sha256:"]);
    assert!(!place.workplace.path("shelf").exists());
}

#[test]
fn a_version_never_becomes_another_procedure() {
    let place = Place::new(Login::Nobody);
    place.done("procedure push copy.wasm REGISTRY/recovery/total-loss:0.1.0");
    let manifest = place.server.manifest("recovery/total-loss", "0.1.0");
    let digest = manifest.split("\"application/wasm\",\"digest\":\"").nth(1).unwrap().split('"').next().unwrap();
    let other = manifest.replace(digest, &format!("sha256:{}", "cd".repeat(32)));
    place.server.put_manifest("recovery/total-loss", "0.1.0", &other);
    let said = place.run("procedure push copy.wasm REGISTRY/recovery/total-loss:0.1.0");
    said.refuses(3, "registry-occupied", &["another version"]);
    assert_eq!(place.server.manifest("recovery/total-loss", "0.1.0"), other);
}

#[test]
fn a_registry_may_want_to_know_who_asks() {
    for login in [Login::Basic, Login::Bearer] {
        let place = Place::new(login);
        let line = "procedure push copy.wasm REGISTRY/recovery/total-loss:0.1.0";
        place.run(line).refuses(1, "registry-unauthorized", &["DR_REGISTRY_USER"]);
        let line = line.replace("REGISTRY", &place.server.address());
        let with = |password: &str| {
            place.workplace.run_with(&line, &[("DR_REGISTRY_USER", "me"), ("DR_REGISTRY_PASSWORD", password)])
        };
        with("wrong").refuses(1, "registry-unauthorized", &[]);
        let said = with(server::PASSWORD);
        assert_eq!(said.code, 0, "{login:?}: {}", said.errors);
        // As `docker login` leaves it.
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"{}"}}}}}}"#, place.server.address(), server::ME);
        place.workplace.write("docker/config.json", &config);
        let line = PULL.replace("REGISTRY", &place.server.address());
        let said = place.workplace.run_with(&line, &[("DOCKER_CONFIG", "docker")]);
        assert_eq!(said.code, 0, "{login:?}: {}", said.errors);
    }
}

#[test]
fn a_registry_that_does_not_answer() {
    let place = Workplace::new();
    // Port 1 of this machine refuses connections at once.
    let said = place.run("procedure pull 127.0.0.1:1/r:t --procedure-directory shelf");
    said.refuses(1, "registry-unavailable", &["http://127.0.0.1:1/v2/r/manifests/t", "retry:"]);
    place.write("empty.pem", "");
    let said = place.run("procedure pull 127.0.0.1:1/r:t --procedure-directory s --registry-certificates empty.pem");
    said.refuses(2, "registry-certificates", &["empty.pem"]);
}
