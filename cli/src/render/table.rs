//! Columns under each other.

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Lines of cells, each column as wide as its widest cell; nothing behind the last one. A column that
/// is empty in all rows takes no place.
pub(crate) fn lines<const N: usize>(align: [Align; N], rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(align)
            .zip(widths)
            .filter(|(_, width)| *width > 0)
            .map(|((cell, align), width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_without_a_cell_takes_no_place() {
        let rows = [["a", "", "x"], ["b", "", "y"]].map(|row| row.map(str::to_owned));
        assert_eq!(lines([Align::Left; 3], &rows), ["a  x", "b  y"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "10", "x"], ["über", "2", ""]].map(|row| row.map(str::to_owned));
        let shown = lines([Align::Left, Align::Right, Align::Left], &rows);
        assert_eq!(shown, ["a     10  x", "über   2"]);
    }
}
