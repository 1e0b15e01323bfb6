//! What decoders of files that are read piece by piece have in common.

/// A step through a file of which only a piece is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<T> {
    /// An item, and how many bytes behind the place the next one begins.
    Item {
        /// The item.
        item: T,
        /// Bytes that it takes.
        length: u64,
    },
    /// Nothing can be said before so many bytes from the place on are at hand. If the file has not as many, it was cut, or
    /// its writer was interrupted.
    Incomplete {
        /// Number of bytes.
        needed: usize,
    },
    /// Nothing was written from the place on.
    End,
}

/// A number in lower case hexadecimal without leading zeros, as BookKeeper names files.
pub(crate) fn hexadecimal(text: &str) -> Option<u64> {
    let number = u64::from_str_radix(text, 16).ok()?;
    (format!("{number:x}") == text).then_some(number)
}
