//! The one place that looks at the clock, and only to find a name.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// A name for a new run directory: `dr-run-20250302-183921`, in UTC.
pub(crate) fn run_directory() -> PathBuf {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("dr-run-{}", date_and_time(since_epoch.as_secs()));
    // Two runs within a second must not meet in one directory.
    let others = (2..).map(|number| PathBuf::from(format!("{name}-{number}")));
    let mut names = std::iter::once(PathBuf::from(&name)).chain(others);
    names.find(|path| !path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

/// `YYYYMMDD-HHMMSS` of seconds since 1970, UTC.
fn date_and_time(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_of_month(year, month) {
        days -= days_of_month(year, month);
        month += 1;
    }
    format!("{year:04}{month:02}{:02}-{:02}{:02}{:02}", days + 1, second / 3600, second / 60 % 60, second % 60)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "19700101-000000"),
            (951_782_400, "20000229-000000"),
            (1_709_251_199, "20240229-235959"),
            (1_709_251_200, "20240301-000000"),
            (1_740_937_161, "20250302-173921"),
            (4_107_542_399, "21000228-235959"),
            (4_107_542_400, "21000301-000000"),
        ] {
            assert_eq!(date_and_time(seconds), expected);
        }
    }
}
