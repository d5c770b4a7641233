//! Results on standard output: whole pieces, and an error instead of a panic when nobody reads any more.

use std::io::Write;

use serde_json::Value;

use super::RemoteError;

/// Bytes as they are.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), RemoteError> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(RemoteError::local("write to standard output"))
}

/// The same to standard error.
pub(super) fn error_bytes(bytes: &[u8]) -> Result<(), RemoteError> {
    let mut out = std::io::stderr().lock();
    let written = out.write_all(bytes);
    written.map_err(RemoteError::local("write to standard error"))
}

/// One line.
pub(super) fn line(text: &str) -> Result<(), RemoteError> {
    bytes(format!("{text}\n").as_bytes())
}

/// An answer of the daemon.
pub(super) fn json(value: &Value) -> Result<(), RemoteError> {
    line(&format!("{value:#}"))
}

/// One of several, in a line of its own (JSON Lines).
pub(super) fn row(value: &Value) -> Result<(), RemoteError> {
    line(&value.to_string())
}

/// Text for a terminal: without control characters, which could be orders to it.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(shown).collect()
}

/// Rows in columns as wide as they need to be; the last column is not padded.
pub(super) fn table(rows: &[Vec<String>]) -> Result<(), RemoteError> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    bytes(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_gives_orders_to_a_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nü"), "a\\u{1b}[31mb\\nü");
    }
}
