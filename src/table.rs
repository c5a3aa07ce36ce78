//! Text in columns.

use std::cmp::Ordering;

/// Lays rows out in columns, each as wide as its widest cell; two spaces between them, none at the end.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// The order in which a person looks for names: `web-2` before `web-10`.
pub fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (runs(one).into_iter(), runs(other).into_iter());
    loop {
        let order = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(x), Some(y)) => (x.len(), x).cmp(&(y.len(), y)),
                _ => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Digits and what is between them.
fn runs(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let ends = (1..=bytes.len()).filter(|&end| {
        end == bytes.len() || bytes[end].is_ascii_digit() != bytes[end - 1].is_ascii_digit()
    });
    let mut start = 0;
    ends.filter_map(|end| text.get(std::mem::replace(&mut start, end)..end))
        .collect()
}

/// A run of digits without the zeros in front.
fn number(run: &str) -> Option<&str> {
    let digits = run.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| run.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_as_wide_as_its_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = columns(&[row(["ADDRESS", "POD", "AGE"]), row(["10.1.0.9", "web", ""])]);
        assert_eq!(text, "ADDRESS   POD  AGE\n10.1.0.9  web\n");
    }

    #[test]
    fn numbers_in_names_are_in_the_order_of_numbers() {
        let mut names = [
            "web-10",
            "web-2",
            "web",
            "b",
            "web-2/eth10",
            "web-2/eth9",
            "web-02",
            "é9",
            "é10",
        ];
        names.sort_by(|one, other| natural(one, other));
        let wanted = [
            "b",
            "web",
            "web-2",
            "web-02",
            "web-2/eth9",
            "web-2/eth10",
            "web-10",
            "é9",
            "é10",
        ];
        assert_eq!(names, wanted);
    }
}
