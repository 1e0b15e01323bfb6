//! Tables for people.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent};

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with these columns; every row has as many cells. Ends with a line break.
pub(crate) fn render(columns: &[(&str, Align)], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    // A line below the header and blanks between columns: easy to read, easy to cut with other tools.
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_style(TableComponent::HeaderLines, '-');
    table.set_style(TableComponent::MiddleHeaderIntersections, '-');
    let cell = |text: String, align: Align| {
        Cell::new(text).set_alignment(match align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        })
    };
    table.set_header(columns.iter().map(|&(title, align)| cell(title.to_owned(), align)));
    for row in rows {
        table.add_row(row.into_iter().zip(columns).map(|(text, &(_, align))| cell(text, align)));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long name".to_owned(), "1,000".to_owned()]];
        let expected = concat!(
            " Name        Length\n", //
            "--------------------\n",
            " a                1\n",
            " long name    1,000\n",
        );
        assert_eq!(render(&[("Name", Align::Left), ("Length", Align::Right)], rows), expected);
    }
}
