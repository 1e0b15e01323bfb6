//! What an operator reads, compared with what was written down below `tests/golden`.

use std::fs;
use std::path::Path;

/// Name of the environment variable that says that golden files are written instead of compared.
const WRITE: &str = "DR_TEST_WRITE_GOLDEN";

/// Compares a text with `tests/golden/<name>.txt`.
///
/// # Panics
/// If they differ, with both.
#[track_caller]
pub fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.txt"));
    if std::env::var_os(WRITE).is_some() {
        let written = fs::write(&path, text);
        assert!(written.is_ok(), "cannot write {}: {written:?}", path.display());
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{}:\n--- expected\n{expected}\n--- found\n{text}", path.display());
}
