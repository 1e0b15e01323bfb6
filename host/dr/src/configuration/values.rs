//! Values of the configuration that are more than a number or a text.

use std::fmt;
use std::path::PathBuf;

use dr_backends::tier1::DigestType;

/// Addresses of a ZooKeeper ensemble: `host:port,host:port`, and the chroot if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectString(String);

/// Port of a ZooKeeper whose address names none.
const ZOOKEEPER_PORT: u16 = 2181;

impl ConnectString {
    /// Reads what the properties of Pravega and of BookKeeper allow: addresses separated by `,` or `;`, a chroot at
    /// the end.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (addresses, chroot) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        let servers = addresses.split([',', ';']).map(server).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(servers.join(",") + chroot.trim_end_matches('/')))
    }

    /// `host:port,host:port/chroot`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn server(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let port = port.parse::<u16>().ok().filter(|&port| port != 0);
            (host, port.ok_or_else(|| format!("`{text}` does not end in a port number"))?)
        }
        _ => (text, ZOOKEEPER_PORT),
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(format!("`{text}` is not HOST:PORT"));
    }
    Ok(format!("{host}:{port}"))
}

/// The digest by the names that `BookKeeperConfig` compares with; they are upper case there.
pub(crate) fn digest_type(text: &str) -> Option<DigestType> {
    match text {
        "CRC32C" => Some(DigestType::Crc32c),
        "CRC32" => Some(DigestType::Crc32),
        "MAC" => Some(DigestType::Hmac),
        "DUMMY" => Some(DigestType::Dummy),
        _ => None,
    }
}

/// Where Tier-1 is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tier1Location {
    /// Real servers.
    Servers {
        /// ZooKeeper of Pravega.
        zookeeper: ConnectString,
        /// ZooKeeper of the bookies.
        bookkeeper_zookeeper: ConnectString,
    },
    /// A directory with the same ZNodes and ledgers.
    Directory(PathBuf),
}

impl fmt::Display for Tier1Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers { zookeeper, bookkeeper_zookeeper } if zookeeper == bookkeeper_zookeeper => {
                write!(formatter, "ZooKeeper {zookeeper}")
            }
            Self::Servers { zookeeper, bookkeeper_zookeeper } => {
                write!(formatter, "ZooKeeper {zookeeper}, bookies behind ZooKeeper {bookkeeper_zookeeper}")
            }
            Self::Directory(path) => write!(formatter, "directory {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_strings() {
        for (text, expected) in [
            ("localhost:2181", "localhost:2181"),
            ("a:1,b:2", "a:1,b:2"),
            (" a:1 ; b:2 ", "a:1,b:2"),
            ("a", "a:2181"),
            ("[::1]:2182", "[::1]:2182"),
            ("a:1,b:2/root/below/", "a:1,b:2/root/below"),
            ("a:1/", "a:1"),
        ] {
            assert_eq!(ConnectString::parse(text).unwrap().as_str(), expected, "{text}");
        }
        for text in ["", "a:", "a:0", "a:65536", "a:x", ":1", "a:1,", "a b:1", "/root"] {
            assert!(ConnectString::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn digests_are_named_as_pravega_names_them() {
        assert_eq!(digest_type("CRC32C"), Some(DigestType::Crc32c));
        assert_eq!(digest_type("MAC"), Some(DigestType::Hmac));
        assert_eq!(digest_type("crc32c"), None);
        assert_eq!(digest_type("HMAC"), None);
    }
}
