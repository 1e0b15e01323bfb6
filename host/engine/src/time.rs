//! Dates and times in UTC. Nothing is decided by them.

/// Last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// `2025-03-02T18:39:21Z` of seconds since 1970. What lies behind the year 9999 is shown as its last second.
pub fn timestamp(seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = parts(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month, day, hour, minute and second of seconds since 1970.
pub fn parts(seconds: u64) -> [u64; 6] {
    // Damaged evidence may hold any number; the loop over years shall end.
    let seconds = seconds.min(LAST_SECOND);
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
    [year, month, days + 1, second / 3600, second / 60 % 60, second % 60]
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
    fn times_can_be_read_by_people_and_programs() {
        assert_eq!(timestamp(1_740_937_161), "2025-03-02T17:39:21Z");
        assert_eq!(timestamp(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
