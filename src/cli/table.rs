//! Tables for people.

use crate::scan;

/// Rows whose cells stand below each other, the heads first. Whoever wrote the cells, the
/// lines are ours, and so is the terminal.
pub(super) fn lines(rows: Vec<Vec<String>>) -> String {
    let rows: Vec<Vec<_>> = rows
        .into_iter()
        .map(|row| {
            let cells = row.into_iter();
            cells.map(|cell| cell.replace(scan::steers, " ")).collect()
        })
        .collect();
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<_> = (0..columns)
        .map(|column| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = width - cell.chars().count() + 2;
            line = line + cell + &" ".repeat(padding);
        }
        text = text + line.trim_end() + "\n";
    }
    text
}
