//! Parts of ZNode paths as names of directories, and back.

/// Bytes that every file system takes in a name.
const NAME_LIMIT: usize = 255;

/// Name of the directory of a part; an error in words if it is too long.
pub(super) fn encode(part: &str) -> Result<String, String> {
    use std::fmt::Write;
    let mut name = String::with_capacity(part.len());
    for (position, byte) in part.bytes().enumerate() {
        if is_plain(byte) || (byte == b'.' && position > 0) {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > NAME_LIMIT {
        return Err(format!("as a file name it has {} bytes, more than {NAME_LIMIT}", name.len()));
    }
    Ok(name)
}

/// The part whose directory has this name; none if no part has.
pub(super) fn decode(name: &str) -> Option<String> {
    let mut part = Vec::with_capacity(name.len());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            part.push(hexadecimal(bytes.next()?)? << 4 | hexadecimal(bytes.next()?)?);
        } else {
            part.push(byte);
        }
    }
    let part = String::from_utf8(part).ok()?;
    // Only the name that we would give: nothing has two names.
    (encode(&part).ok()? == name).then_some(part)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-+=:@,~".contains(&byte)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_common_names_readable() {
        assert_eq!(encode("c2NvcGU=+").unwrap(), "c2NvcGU=+");
        assert_eq!(encode(".hidden%").unwrap(), "%2Ehidden%25");
        assert_eq!(encode("127.0.0.1:3181").unwrap(), "127.0.0.1:3181");
        assert!(encode(&"x".repeat(256)).is_err());
    }

    #[test]
    fn refuses_names_it_does_not_give() {
        for name in ["%41", "%4", "%zz", ".znode", "a b", "%2e"] {
            assert_eq!(decode(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn comes_back(part in "\\PC{1,60}") {
            prop_assume!(!part.contains('/'));
            let name = encode(&part);
            prop_assume!(name.is_ok());
            let name = name.unwrap();
            prop_assert!(!name.starts_with('.') && !name.contains('/'));
            prop_assert_eq!(decode(&name), Some(part));
        }
    }
}
