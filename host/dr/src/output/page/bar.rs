//! Bars, as SVG: they need no style that the page's policy would have to allow, and are printed as they are.

use std::fmt::Write as _;

use dr_engine::report::Figures;

/// The least width of a part that is not empty, in percent; else the one lost event of a terabyte could not be seen.
const PART_MIN: f64 = 2.0;

/// Widths of what is kept, lost, unknown, in percent with one digit; nothing if there is nothing.
pub(super) fn widths(figures: &Figures) -> [f64; 3] {
    let lost = figures.lost_bytes + figures.bookkeeping_bytes;
    let is_open = figures.open_ranges > 0;
    let parts = [figures.kept_bytes, lost.max(u64::from(is_open)), figures.unknown_bytes];
    let total: u64 = parts.iter().sum();
    if total == 0 {
        return [0.0; 3];
    }
    let small = |part: u64| part > 0 && (part as f64) < total as f64 * PART_MIN / 100.0;
    let raised = parts.iter().filter(|&&part| small(part)).count() as f64 * PART_MIN;
    let rest: u64 = parts.iter().filter(|&&part| !small(part)).sum();
    parts.map(|part| match small(part) {
        true => PART_MIN,
        false => ((100.0 - raised) * part as f64 / rest.max(1) as f64 * 10.0).round() / 10.0,
    })
}

/// The bar of some figures.
pub(super) fn of_figures(figures: &Figures, is_tall: bool) -> String {
    let widths = widths(figures);
    let label = match widths {
        [0.0, 0.0, 0.0] => "no bytes".to_owned(),
        [kept, lost, unknown] => format!("about {kept} % kept, {lost} % lost, {unknown} % unknown"),
    };
    let mut from = 0.0;
    let mut parts = String::new();
    for (width, class) in widths.into_iter().zip(["kept-part", "lost-part", "unknown-part"]) {
        if width > 0.0 {
            let _ = write!(parts, r#"<rect class="{class}" x="{from:.1}%" width="{width:.1}%" height="100%"/>"#);
            from += width;
        }
    }
    let class = if is_tall { "bar tall" } else { "bar" };
    format!(r#"<svg class="{class}" role="img" aria-label="{label}">{parts}</svg>"#)
}

/// The bar of a stage that began and took so much of a whole.
pub(super) fn of_stage(began: f64, took: f64, whole: f64) -> String {
    let percent = |part: f64| (100.0 * part / whole.max(f64::MIN_POSITIVE)).clamp(0.0, 100.0);
    let width = percent(took).max(0.5);
    let from = percent(began).min(100.0 - width);
    format!(
        r#"<svg class="bar" aria-hidden="true"><rect class="time-part" x="{from:.1}%" width="{width:.1}%" height="100%"/></svg>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(kept: u64, lost: u64, unknown: u64) -> Figures {
        Figures { kept_bytes: kept, lost_bytes: lost, unknown_bytes: unknown, ..Figures::default() }
    }

    #[test]
    fn what_is_there_can_be_seen_and_the_whole_is_whole() {
        assert_eq!(widths(&figures(0, 0, 0)), [0.0, 0.0, 0.0]);
        assert_eq!(widths(&figures(100, 0, 0)), [100.0, 0.0, 0.0]);
        assert_eq!(widths(&figures(1 << 40, 12, 0)), [98.0, 2.0, 0.0]);
        assert_eq!(widths(&figures(1 << 40, 12, 1)), [96.0, 2.0, 2.0]);
        assert_eq!(widths(&figures(0, 0, 7)), [0.0, 0.0, 100.0]);
        let open = Figures { open_ranges: 1, ..figures(1000, 0, 0) };
        assert_eq!(widths(&open), [98.0, 2.0, 0.0]);
        for (kept, lost, unknown) in [(1, 1, 1), (u64::from(u32::MAX), 77, 123_456_789), (5, 90, 5)] {
            let sum: f64 = widths(&figures(kept, lost, unknown)).iter().sum();
            assert!((sum - 100.0).abs() < 0.2, "{kept} {lost} {unknown}: {sum}");
        }
    }

    #[test]
    fn a_stage_stays_inside_its_bar() {
        assert!(of_stage(10.0, 0.0, 10.0).contains(r#"x="99.5%" width="0.5%""#), "{}", of_stage(10.0, 0.0, 10.0));
        assert!(of_stage(0.0, 5.0, 10.0).contains(r#"x="0.0%" width="50.0%""#));
    }
}
