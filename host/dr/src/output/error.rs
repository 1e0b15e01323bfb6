//! Errors as an operator reads them: what, why, what to do next, and whether trying again can help.

use dr_engine::error::OperatorError;
use serde::Serialize;

use super::text::{Colour, shown};

/// An error in the stream of events.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorEvent<'a> {
    code: &'a str,
    what: &'a str,
    why: Option<&'a str>,
    next_step: &'a str,
    retry: bool,
}

impl<'a> From<&'a OperatorError> for ErrorEvent<'a> {
    fn from(error: &'a OperatorError) -> Self {
        Self {
            code: error.code,
            what: &error.what,
            why: error.why.as_deref(),
            next_step: &error.next_step,
            retry: error.retry,
        }
    }
}

/// The error in lines for people.
pub(crate) fn render(error: &OperatorError, colour: Colour) -> String {
    let mut text = format!("{} {}\n", colour.red(&format!("error[{}]:", error.code)), shown(&error.what));
    let mut line = |title: &str, content: &str| {
        text.push_str(&format!("  {} {}\n", colour.bold(title), shown(content)));
    };
    if let Some(why) = &error.why {
        line("why: ", why);
    }
    line("next:", &error.next_step);
    if error.retry {
        line("retry:", "the same command may succeed later");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let error = OperatorError::new("tier2-io", "cannot read `x`", "make it readable")
            .because("permission denied")
            .may_retry();
        assert_eq!(
            render(&error, Colour::NONE),
            "error[tier2-io]: cannot read `x`\n  why:  permission denied\n  next: make it readable\n  \
             retry: the same command may succeed later\n"
        );
        let event = serde_json::to_string(&ErrorEvent::from(&error)).unwrap();
        assert_eq!(
            event,
            r#"{"code":"tier2-io","what":"cannot read `x`","why":"permission denied","next_step":"make it readable","retry":true}"#
        );
    }
}
