//! Who the operator is for a registry, and how a registry asks.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

/// Name and password. Neither is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    user: String,
    password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials")
    }
}

impl Credentials {
    /// Those of the environment (`DR_REGISTRY_USER`, `DR_REGISTRY_PASSWORD`), else those that `docker login` and others
    /// wrote down for the host.
    pub(super) fn find(host: &str) -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        if let (Some(user), Some(password)) = (variable("DR_REGISTRY_USER"), variable("DR_REGISTRY_PASSWORD")) {
            return Some(Self { user, password });
        }
        let directory = variable("DOCKER_CONFIG").or_else(|| Some(format!("{}/.docker", variable("HOME")?)))?;
        let text = std::fs::read_to_string(Path::new(&directory).join("config.json")).ok()?;
        Self::of_docker(&text, host)
    }

    fn of_docker(config: &str, host: &str) -> Option<Self> {
        let config: Value = serde_json::from_str(config).ok()?;
        let decoded = BASE64.decode(config["auths"][host]["auth"].as_str()?).ok()?;
        let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some(Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// Value of the header `Authorization`.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", BASE64.encode(format!("{}:{}", self.user, self.password)))
    }
}

/// How a registry wants to know who asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password.
    Basic,
    /// A token, which somebody else gives out.
    Bearer {
        /// Address of whoever does.
        realm: String,
        /// What he has to be told.
        query: Vec<(&'static str, String)>,
    },
}

impl Challenge {
    /// Understands the header `WWW-Authenticate`.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        let parameter = |name: &str| {
            let begin = rest.find(&format!("{name}=\""))? + name.len() + 2;
            rest[begin..].split('"').next().map(str::to_owned)
        };
        let named = |name: &'static str| parameter(name).map(|value| (name, value));
        let query = ["service", "scope"].into_iter().filter_map(named).collect();
        scheme.eq_ignore_ascii_case("bearer").then(|| Some(Self::Bearer { realm: parameter("realm")?, query }))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_wrote_down_is_found_by_the_host() {
        let config = format!(r#"{{"auths": {{"h:5000": {{"auth": "{}"}}}}}}"#, BASE64.encode("me:pass:word"));
        let found = Credentials::of_docker(&config, "h:5000").unwrap();
        assert_eq!((found.user.as_str(), found.password.as_str()), ("me", "pass:word"));
        assert_eq!(found.basic(), format!("Basic {}", BASE64.encode("me:pass:word")));
        assert!(!format!("{found:?}").contains("pass"));
        assert!(Credentials::of_docker(&config, "h").is_none() && Credentials::of_docker("{}", "h:5000").is_none());
    }

    #[test]
    fn challenges_are_understood() {
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        let bearer = Challenge::parse("Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:r:pull,push\"");
        let query = vec![("service", "s".to_owned()), ("scope", "repository:r:pull,push".to_owned())];
        assert_eq!(bearer, Some(Challenge::Bearer { realm: "https://a/t".to_owned(), query }));
        assert!(Challenge::parse("Bearer service=\"s\"").is_none() && Challenge::parse("Digest x").is_none());
    }
}
