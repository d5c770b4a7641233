//! The screen of a terminal: what a program printed, as a person would see it.

use std::{num::NonZeroU16, sync::Mutex};

use super::{
    history::{History, View},
    record::Status,
};

/// Size of a terminal that nobody can be asked about any more.
const USUAL: (u16, u16) = (24, 80);
/// Bytes that are read at once.
const READ: usize = 256 << 10;
/// Largest side that is drawn: a grid costs memory for every cell.
const LARGEST: u16 = 1000;

/// What stands on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Its size.
    pub rows: u16,
    /// Its size.
    pub columns: u16,
    /// Text of each row, blanks at its end removed.
    pub lines: Vec<String>,
    /// Row of the cursor, from 0.
    pub cursor_row: u16,
    /// Column of the cursor, from 0.
    pub cursor_column: u16,
    /// Whether the program shows it.
    pub cursor_visible: bool,
    /// Whether the program has taken the whole screen (vim, less).
    pub alternate: bool,
    /// What the program calls its window.
    pub title: String,
    /// Offset behind the last byte that was drawn.
    pub cursor: u64,
}

/// The emulator, from the first time that anybody looks.
#[derive(Debug, Default)]
pub(super) struct Screen(Mutex<Option<Box<Drawn>>>);

struct Drawn {
    parser: vt100::Parser<Title>,
    at: u64,
    size: (NonZeroU16, NonZeroU16),
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawn")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Keeps what a program calls its window.
#[derive(Debug, Default)]
struct Title(String);

impl vt100::Callbacks for Title {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        let text = String::from_utf8_lossy(title);
        self.0 = text.chars().filter(|c| !c.is_control()).take(256).collect();
    }
}

impl Screen {
    /// Draws what was printed since the last look, and tells what stands there. What is gone from the history is left
    /// out. Blocks for reads of files.
    pub(super) fn show(
        &self,
        history: &History,
        status: &Status,
        size: Option<(u16, u16)>,
    ) -> Grid {
        let mut drawn = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = drawn
            .as_ref()
            .map(|drawn| (drawn.size.0.get(), drawn.size.1.get()));
        let (rows, columns) = size.or(before).unwrap_or(USUAL);
        let side = |side: u16| NonZeroU16::new(side.clamp(1, LARGEST)).expect("at least 1");
        let size = (side(rows), side(columns));
        let drawn = drawn.get_or_insert_with(|| {
            Box::new(Drawn {
                parser: vt100::Parser::new_with_callbacks(size.0, size.1, 0, Title::default()),
                at: 0,
                size,
            })
        });
        if drawn.size != size {
            drawn.parser.screen_mut().set_size(size.0, size.1);
            drawn.size = size;
        }
        while drawn.at < status.merged_total {
            let piece = history.read(status, View::Merged, drawn.at, READ);
            if piece.bytes.is_empty() {
                drawn.at = status.merged_total;
                break;
            }
            drawn.parser.process(&piece.bytes);
            drawn.at = piece.end();
        }
        drawn.grid()
    }
}

impl Drawn {
    fn grid(&self) -> Grid {
        let screen = self.parser.screen();
        let (rows, columns) = (self.size.0.get(), self.size.1.get());
        let (cursor_row, cursor_column) = screen.cursor_position();
        Grid {
            rows,
            columns,
            lines: screen
                .rows(0, columns)
                .map(|line| line.trim_end().to_owned())
                .collect(),
            cursor_row,
            cursor_column,
            cursor_visible: !screen.hide_cursor(),
            alternate: screen.alternate_screen(),
            title: self.parser.callbacks().0.clone(),
            cursor: self.at,
        }
    }
}
