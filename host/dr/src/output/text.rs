//! Words, numbers and colours for people.

use std::env;

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour(bool);

impl Colour {
    /// No colours.
    pub(crate) const NONE: Self = Self(false);

    /// Colours on a terminal, unless `NO_COLOR` is set.
    pub(crate) fn if_wanted(is_terminal: bool) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(is_terminal && !refused)
    }

    /// What went wrong or is lost.
    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31;1", text)
    }

    /// What to look at.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33;1", text)
    }

    /// What went well.
    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32;1", text)
    }

    /// Headings.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A text from outside as it may be shown: names in Tier-2 can hold anything, also what moves a terminal's cursor.
pub(crate) fn shown(text: &str) -> String {
    let safe = |character: char| {
        if character.is_control() { character.escape_default().collect::<String>() } else { character.to_string() }
    };
    text.chars().map(safe).collect()
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 segment`, `2 segments`.
pub(crate) fn counted(number: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { singular } else { plural })
}

/// `512 B`, `1.5 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut tenths = u128::from(number) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `yes` or nothing, so that a column of mostly-no is readable.
pub(crate) fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 1023, 1024, 1536, 1 << 20, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "15.9 EiB"]
        );
        assert_eq!(counted(1, "segment", "segments"), "1 segment");
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(shown("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(shown("scope/stream/0.#epoch.0é"), "scope/stream/0.#epoch.0é");
    }

    #[test]
    fn colours_only_where_wanted() {
        assert_eq!(Colour::NONE.red("x"), "x");
        assert_eq!(Colour(true).red("x"), "\x1b[31;1mx\x1b[0m");
    }
}
