//! Tables as the original's `iter8ctl` draws them: its library is tablewriter, whose widths and line breaks these are.
//!
//! Source: github.com/olekukonko/tablewriter v0.0.4, table.go and wrap.go.

use std::fmt;

/// A cell with more characters than this is broken into lines, and its column is as wide as this at least.
const WIDEST: usize = 30;

/// What a line that is too wide costs, when lines are broken.
const TOO_WIDE: usize = 100_000;

/// A table with a header. Cells of the first column are labels, and left-aligned; of the others numbers are right-aligned.
pub struct Table {
    header: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

/// The lines of a cell, and how wide it wants its column.
struct Cell {
    lines: Vec<String>,
    width: usize,
}

/// Where a line stands in its column.
#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
    Centre,
}

impl Table {
    /// A table without rows.
    pub fn new<S: AsRef<str>>(header: impl IntoIterator<Item = S>) -> Self {
        let header = header.into_iter().map(|name| Cell::new(&name.as_ref().to_uppercase()));
        Self {
            header: header.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, which has as many cells as the header.
    pub fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cells = cells.into_iter().map(|cell| Cell::new(cell.as_ref()));
        self.rows.push(cells.collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let rows = self.rows.iter().chain([&self.header]);
            rows.filter_map(|row| row.get(column))
                .map(|cell| cell.width)
                .max()
                .unwrap_or(0)
        };
        (0..self.header.len()).map(width).collect()
    }
}

impl Cell {
    fn new(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let longest = words.iter().map(|word| wide(word)).max().unwrap_or(0);
        // A word is never broken.
        let width = wide(&words.join(" ")).min(WIDEST).max(longest);
        Self {
            lines: wrap(&words, width),
            width,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        let rule = format!("+{}+", dashes.join("+"));
        writeln!(f, "{rule}")?;
        write_row(f, &self.header, &widths, |_, _| Align::Centre)?;
        writeln!(f, "{rule}")?;
        for row in &self.rows {
            write_row(f, row, &widths, |column, line| {
                if column > 0 && is_number(line) {
                    Align::Right
                } else {
                    Align::Left
                }
            })?;
            writeln!(f, "{rule}")?;
        }
        Ok(())
    }
}

fn write_row(
    f: &mut fmt::Formatter<'_>,
    row: &[Cell],
    widths: &[usize],
    align: impl Fn(usize, &str) -> Align,
) -> fmt::Result {
    let height = row.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
    for at in 0..height {
        write!(f, "|")?;
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let line = cell.lines.get(at).map_or("", String::as_str);
            match align(column, line) {
                Align::Left => write!(f, " {line:<width$} |")?,
                Align::Right => write!(f, " {line:>width$} |")?,
                Align::Centre => write!(f, " {line:^width$} |")?,
            }
        }
        writeln!(f)?;
    }
    Ok(())
}

fn wide(text: &str) -> usize {
    text.chars().count()
}

/// A decimal number, or one of percent.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let number = unsigned.strip_suffix('%').unwrap_or(unsigned);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    digits(whole) && digits(fraction)
}

/// Breaks words into lines of `width` at most so that they are as even as can be: with the least sum of the squares of what
/// they fall short, the last line left out.
fn wrap(words: &[&str], width: usize) -> Vec<String> {
    // Of the words from `start` on, and from each later one on: what their lines cost, and the lines.
    let mut best: Vec<(usize, Vec<String>)> = Vec::new();
    for start in (0..words.len()).rev() {
        let rest = words.get(start..).unwrap_or_default();
        let whole = rest.join(" ");
        let broken = || {
            let ends = best.iter().enumerate().map(|(index, (cost, lines))| {
                let line = rest.get(..=index).unwrap_or_default().join(" ");
                let short = wide(&line).abs_diff(width);
                let penalty = if wide(&line) > width { TOO_WIDE } else { 0 };
                (short * short + penalty + cost, line, lines)
            });
            let (cost, line, lines) = ends.min_by_key(|(cost, ..)| *cost)?;
            Some((cost, [vec![line], lines.clone()].concat()))
        };
        let choice = if wide(&whole) <= width { None } else { broken() };
        best.insert(0, choice.unwrap_or_else(|| (0, vec![whole])));
    }
    best.into_iter()
        .next()
        .map_or_else(|| vec![String::new()], |(_, lines)| lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(header: &[&str], rows: &[&[&str]]) -> String {
        let mut table = Table::new(header);
        for row in rows {
            table.row(*row);
        }
        format!("\n{table}")
    }

    #[test]
    fn the_header_is_centred_labels_are_left_aligned_and_numbers_right_aligned() {
        let want = "
+-------+--------+-----------+
| LABEL | VALUES |    ABC    |
+-------+--------+-----------+
| 1     |  1.000 | true      |
+-------+--------+-----------+
| two   |    -20 |        5% |
+-------+--------+-----------+
| three | no     | copy 100% |
+-------+--------+-----------+
";
        let rows: &[&[&str]] = &[
            &["1", "1.000", "true"],
            &["two", "-20", "5%"],
            &["three", "no", "copy 100%"],
        ];
        assert_eq!(table(&["label", "values", "abc"], rows), want);
    }

    #[test]
    fn a_label_of_more_than_30_characters_is_broken_and_its_column_is_30_wide() {
        let want = "
+--------------------------------+---+
|             METRIC             | A |
+--------------------------------+---+
| 95th-percentile-tail-latency   | 1 |
| (milliseconds)                 |   |
+--------------------------------+---+
";
        let label = "95th-percentile-tail-latency (milliseconds)";
        assert_eq!(table(&["metric", "a"], &[&[label, "1"]]), want);
    }

    #[test]
    fn a_label_of_30_characters_is_not_broken() {
        let label = "fifteen-letters fourteen-lette";
        assert_eq!(label.len(), 30);
        assert_eq!(table(&["a"], &[&[label]]).lines().count(), 6);
    }

    #[test]
    fn a_word_of_more_than_30_characters_is_not_broken_and_widens_its_column() {
        let word = "the-name-of-a-version-that-somebody-was-fond-of";
        let drawn = table(&["x", word], &[&[&format!("{word} x"), "1"]]);
        assert!(drawn.contains(&format!("\n| {word} |")), "{drawn}");
        assert!(
            drawn.contains(&format!("\n| x{} |", " ".repeat(word.len() - 1))),
            "{drawn}"
        );
        assert!(drawn.contains(&format!("| {} |\n", word.to_uppercase())), "{drawn}");
    }

    #[test]
    fn lines_are_as_even_as_can_be() {
        let wrap = |text: &str, width| wrap(&text.split(' ').collect::<Vec<_>>(), width);
        // To fill the first line would leave the second nearly empty.
        assert_eq!(wrap("aaa bb cc ddddd", 6), ["aaa", "bb cc", "ddddd"]);
        assert_eq!(
            wrap("0.500 <= iter8-system/mean-latency <= 50.000", 30),
            ["0.500 <=", "iter8-system/mean-latency <=", "50.000"]
        );
        assert_eq!(wrap("", 0), [""]);
    }

    #[test]
    fn an_empty_cell_is_one_line_and_a_line_break_is_a_blank() {
        assert_eq!(table(&["a", "b"], &[&["", "x\ny"]]).lines().count(), 6);
    }

    #[test]
    fn numbers_are_told_from_words() {
        for number in ["0", "-1", "12.345", "5%", "0.5%"] {
            assert!(is_number(number), "{number}");
        }
        for word in ["", "-", "%", "1.", "1.2 *", "NaN", "1e3", "2026-01-01", "true"] {
            assert!(!is_number(word), "{word}");
        }
    }
}
