//! Helpers of the unit tests of this crate.

/// Lower case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of a hexadecimal vector; white space and `|` only structure it.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|character| character.to_digit(16)).map(|digit| digit as u8).collect();
    assert!(text.chars().all(|character| character.is_ascii_hexdigit() || " |/\n".contains(character)), "{text}");
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
