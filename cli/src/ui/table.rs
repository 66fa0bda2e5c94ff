//! Tables with aligned columns.

use std::io::{self, Write};

use super::style::{Style, Tone};
use super::width;

/// One cell: its text and what it means.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Option<Tone>,
    right: bool,
}

impl Cell {
    /// Text, aligned to the left.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: None, right: false }
    }

    /// A number, aligned to the right.
    pub fn number(value: impl ToString) -> Self {
        Self { text: value.to_string(), tone: None, right: true }
    }

    /// The same in a tone.
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = Some(tone);
        self
    }
}

/// Writes rows under a heading, columns as wide as their widest cell, two spaces between them.
pub fn write(out: &mut dyn Write, style: Style, heading: &[&str], rows: &[Vec<Cell>]) -> io::Result<()> {
    let mut widths: Vec<usize> = heading.iter().map(|text| width::columns(text)).collect();
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width::columns(&cell.text));
        }
    }
    let heading: Vec<Cell> = heading.iter().map(|text| Cell::text(*text).tone(Tone::Faint)).collect();
    for row in std::iter::once(&heading).chain(rows) {
        write_row(out, style, &widths, row)?;
    }
    Ok(())
}

fn write_row(out: &mut dyn Write, style: Style, widths: &[usize], row: &[Cell]) -> io::Result<()> {
    for (position, (cell, widest)) in row.iter().zip(widths).enumerate() {
        let space = " ".repeat(widest - width::columns(&cell.text).min(*widest));
        let last = position + 1 == row.len();
        let text = match cell.tone {
            Some(tone) => style.paint(tone, &cell.text).to_string(),
            None => cell.text.clone(),
        };
        match (cell.right, last) {
            (true, _) => write!(out, "{space}{text}")?,
            (false, true) => write!(out, "{text}")?,
            (false, false) => write!(out, "{text}{space}")?,
        }
        if !last {
            write!(out, "  ")?;
        }
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_space() {
        let mut out = Vec::new();
        let rows = [
            vec![Cell::text("日本"), Cell::number(5), Cell::text("x")],
            vec![Cell::text("a"), Cell::number(1234), Cell::text("longer")],
        ];
        write(&mut out, Style::PLAIN, &["NAME", "N", "WHAT"], &rows).unwrap();
        let expected = "NAME  N     WHAT\n日本     5  x\na     1234  longer\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
