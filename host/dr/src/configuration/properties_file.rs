//! The syntax of Java's `.properties` files: comments, escapes, continuation lines, three kinds of separators.
//!
//! Only the syntax; what the keys mean is the business of [`super::known`]. Written after the documentation of
//! `java.util.Properties.load`, so that a file means here exactly what it means to the servers.

/// One `key=value` of a file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The key, escapes resolved.
    pub(crate) key: String,
    /// The value, escapes resolved, trailing blanks kept.
    pub(crate) value: String,
    /// Number of the line where it begins, from 1.
    pub(crate) number: usize,
}

impl std::fmt::Debug for Line {
    /// Without the value, which may be a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "line {}: {}", self.number, self.key)
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyntaxError {
    /// `\u` without four hexadecimal digits, or half of a surrogate pair.
    #[error("line {line}: `\\u` must be followed by four hexadecimal digits of a character")]
    UnicodeEscape {
        /// Line where the property begins, from 1.
        line: usize,
    },
}

/// All properties of a text in their order; a key that occurs twice is returned twice.
///
/// # Errors
/// A malformed `\u` escape; there is no other way to be wrong.
pub(crate) fn parse(text: &str) -> Result<Vec<Line>, SyntaxError> {
    logical_lines(text).into_iter().map(|(number, line)| split_line(&line, number)).collect()
}

/// Bytes as text: UTF-8, or ISO 8859-1 (the encoding that Java's documentation names) if they are not UTF-8.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let without_mark = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(without_mark) {
        Ok(text) => text.to_owned(),
        Err(_) => without_mark.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// Joins continued lines and drops comments and blank lines; each line with the number where it begins.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut continued: Option<(usize, String)> = None;
    for (index, natural) in natural_lines(text).into_iter().enumerate() {
        let content = natural.trim_start_matches(is_blank);
        let is_comment = continued.is_none() && (content.is_empty() || content.starts_with(['#', '!']));
        if is_comment {
            continue;
        }
        let (number, mut line) = continued.take().unwrap_or((index + 1, String::new()));
        if let Some(kept) = without_continuation_mark(content) {
            line.push_str(kept);
            continued = Some((number, line));
        } else {
            line.push_str(content);
            lines.push((number, line));
        }
    }
    lines.extend(continued);
    lines
}

/// Lines end with `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        lines.extend(line.strip_suffix('\r').unwrap_or(line).split('\r'));
    }
    lines
}

/// A line that ends with an odd number of backslashes goes on in the next one; returns it without the last of them.
fn without_continuation_mark(line: &str) -> Option<&str> {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    if backslashes % 2 == 1 { line.strip_suffix('\\') } else { None }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

fn split_line(line: &str, number: usize) -> Result<Line, SyntaxError> {
    let mut escaped = false;
    let key_end = line
        .char_indices()
        .find(|&(_, character)| {
            let ends = !escaped && (is_blank(character) || matches!(character, '=' | ':'));
            escaped = character == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(index, _)| index);
    let (key, rest) = line.split_at(key_end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank);
    Ok(Line { key: unescape(key, number)?, value: unescape(rest, number)?, number })
}

fn unescape(text: &str, line: usize) -> Result<String, SyntaxError> {
    // Java's characters are UTF-16 units: a character beyond the first plane is written as two escapes.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    let push = |units: &mut Vec<u16>, character: char| {
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
    };
    while let Some(character) = rest.next() {
        if character != '\\' {
            push(&mut units, character);
            continue;
        }
        match rest.next() {
            Some('t') => push(&mut units, '\t'),
            Some('n') => push(&mut units, '\n'),
            Some('r') => push(&mut units, '\r'),
            Some('f') => push(&mut units, '\u{c}'),
            Some('u') => units.push(unicode_unit(&mut rest).ok_or(SyntaxError::UnicodeEscape { line })?),
            Some(other) => push(&mut units, other),
            None => {}
        }
    }
    String::from_utf16(&units).map_err(|_| SyntaxError::UnicodeEscape { line })
}

fn unicode_unit(rest: &mut std::str::Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0_u16, |unit, _| {
        let digit = rest.next()?.to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|line| (line.key, line.value)).collect()
    }

    fn pair(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?} gave {all:?}");
        all.remove(0)
    }

    #[test]
    fn separators() {
        for text in
            ["a=b", "a = b", "a:b", "a : b", "a b", "a\tb", "a\u{c}b", "  a=b", "\ta  =\t b", "a=b\r", "a=b\n\n"]
        {
            assert_eq!(pair(text), ("a".to_owned(), "b".to_owned()), "{text:?}");
        }
        assert_eq!(pair("a == b"), ("a".to_owned(), "= b".to_owned()));
        assert_eq!(pair("a :=b"), ("a".to_owned(), "=b".to_owned()));
        assert_eq!(pair("a b=c"), ("a".to_owned(), "b=c".to_owned()));
        assert_eq!(pair("a"), ("a".to_owned(), String::new()));
        assert_eq!(pair("a="), ("a".to_owned(), String::new()));
        assert_eq!(pair("=b"), (String::new(), "b".to_owned()));
        assert_eq!(pair("a=b  "), ("a".to_owned(), "b  ".to_owned()));
        assert_eq!(pair("uri=http://h:1/?a=b&c=d"), ("uri".to_owned(), "http://h:1/?a=b&c=d".to_owned()));
    }

    #[test]
    fn comments_and_blank_lines() {
        assert_eq!(pairs("# a=b\n! c=d\n\n   \t\n  #e=f\n"), []);
        assert_eq!(pair("# continued? no \\\na=b").0, "a");
        assert_eq!(pair("a=b # not a comment").1, "b # not a comment");
    }

    #[test]
    fn continuation_lines() {
        assert_eq!(
            pair("fruits   apple, banana, \\\n          pear"),
            ("fruits".to_owned(), "apple, banana, pear".to_owned())
        );
        assert_eq!(pair("a\\\n=b"), ("a".to_owned(), "b".to_owned()));
        assert_eq!(pair("a=b\\\r\n  c\\\r d").1, "bcd");
        assert_eq!(pair("a=b\\\n# still the value").1, "b# still the value");
        assert_eq!(pair("a=b\\").1, "b");
        assert_eq!(pairs("a=b\\\n\nc=d").len(), 2);
        assert_eq!(pairs("a=b\\\\\nc=d"), [("a".to_owned(), "b\\".to_owned()), ("c".to_owned(), "d".to_owned())]);
        assert_eq!(pair("a=b\\\\\\\nc").1, "b\\c");
    }

    #[test]
    fn escapes() {
        assert_eq!(pair(r"a\=b\:c\ d=e"), ("a=b:c d".to_owned(), "e".to_owned()));
        assert_eq!(pair(r"path=c\:\\tmp").1, r"c:\tmp");
        assert_eq!(pair(r"a=\t\n\r\f\q\\").1, "\t\n\r\u{c}q\\");
        assert_eq!(pair(r"a=\u0041\u00e9\u20AC").1, "Aé€");
        assert_eq!(pair(r"a=\ud83d\ude00").1, "😀");
        assert_eq!(pair(r"a=\  b").1, "  b");
        assert_eq!(pair("a=é😀").1, "é😀");
    }

    #[test]
    fn malformed_unicode_is_told_with_its_line() {
        for text in [r"a=\u12", r"a=\uzzzz", r"a=\u+123", r"a=\ud83d", r"a=\ude00x"] {
            assert_eq!(parse(&format!("\n# c\n{text}")), Err(SyntaxError::UnicodeEscape { line: 3 }), "{text}");
        }
    }

    #[test]
    fn numbers_of_lines_count_continued_ones() {
        let numbers: Vec<_> = parse("a=1\\\n2\n\nb=3\r\nc=4").unwrap().iter().map(|line| line.number).collect();
        assert_eq!(numbers, [1, 4, 5]);
    }

    #[test]
    fn encodings() {
        assert_eq!(decode("a=é".as_bytes()), "a=é");
        assert_eq!(decode(b"a=\xe9"), "a=é");
        assert_eq!(decode(b"\xef\xbb\xbfa=b"), "a=b");
    }

    #[test]
    fn debug_never_shows_a_value() {
        assert!(!format!("{:?}", parse("bookkeeper.bkPass=hunter2").unwrap()).contains("hunter2"));
    }
}
