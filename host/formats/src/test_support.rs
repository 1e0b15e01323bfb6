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

/// Calls `decode` with every prefix of `bytes`, and with every byte changed in several ways. What it returns is its
/// own affair; that it returns is the test.
pub(crate) fn mutations(bytes: &[u8], mut decode: impl FnMut(&[u8])) {
    for length in 0..=bytes.len() {
        decode(&bytes[..length]);
    }
    let mut mutated = bytes.to_vec();
    for position in 0..bytes.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff, bytes[position] ^ 0x01, bytes[position] ^ 0x80] {
            mutated[position] = value;
            decode(&mutated);
        }
        mutated[position] = bytes[position];
    }
}
