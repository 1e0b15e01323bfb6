//! Dates and times, for names and for people. Nothing is decided by them.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dr_engine::time::{parts, timestamp};

/// A name for a new run directory: `dr-run-20250302-183921`, in UTC.
pub(crate) fn run_directory() -> PathBuf {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let [year, month, day, hour, minute, second] = parts(since_epoch.as_secs());
    let name = format!("dr-run-{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}");
    // Two runs within a second must not meet in one directory.
    let others = (2..).map(|number| PathBuf::from(format!("{name}-{number}")));
    let mut names = std::iter::once(PathBuf::from(&name)).chain(others);
    names.find(|path| !path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

/// `2025-03-02 18:39:21.007` of milliseconds since 1970, in UTC.
pub(crate) fn moment(unix_milliseconds: u64) -> String {
    let [year, month, day, hour, minute, second] = parts(unix_milliseconds / 1000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}", unix_milliseconds % 1000)
}

/// When something began that has taken so long by now, in UTC: `2025-03-02T18:39:21Z`.
pub(crate) fn before(elapsed: Duration) -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    timestamp(since_epoch.saturating_sub(elapsed).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00.007"),
            (951_782_400, "2000-02-29 00:00:00.007"),
            (1_709_251_199, "2024-02-29 23:59:59.007"),
            (1_709_251_200, "2024-03-01 00:00:00.007"),
            (1_740_937_161, "2025-03-02 17:39:21.007"),
            (4_107_542_399, "2100-02-28 23:59:59.007"),
            (4_107_542_400, "2100-03-01 00:00:00.007"),
        ] {
            assert_eq!(moment(seconds * 1000 + 7), expected);
        }
    }
}
