//! Files that somebody named, read up to a length that no good one of their kind has: a wrong name may lead to a file of any size,
//! or to one that never ends.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};

/// Reads the rest of a file.
///
/// # Errors
/// What the system says; that it has more than `bytes_max` bytes.
pub(crate) fn read(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(content)
}

/// Reads the rest of a file of text in UTF-8.
///
/// # Errors
/// As [`read`]; that it is no UTF-8.
pub(crate) fn read_text(file: File, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read(file, bytes_max)?).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is no UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_not_read_to_its_end() {
        let endless = || File::open("/dev/zero").unwrap();
        assert_eq!(read(endless(), 1000).unwrap_err().to_string(), "it has more than 1000 bytes");
        assert_eq!(read_text(endless(), 0).unwrap_err().to_string(), "it has more than 0 bytes");
        assert_eq!(read_text(File::open("/dev/null").unwrap(), 0).unwrap(), "");
    }
}
