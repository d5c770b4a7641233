//! Properties and failures of windows, from what X says to what we say.

use std::sync::Arc;

use x11rb::{
    errors::{ConnectionError, ReplyError},
    protocol::xproto::{GetPropertyReply, Gravity},
};

use super::{MAX_TEXT, PAGER, Pending};
use crate::desktop::windows::{Frame, WindowError};

/// Flags of `_NET_MOVERESIZE_WINDOW`: which of x, y, width and height are given, from a pager. The place is that of the
/// frame's corner: static gravity would name the window's own, but leaves a pixel to a border that is not shown.
pub(super) fn moveresize(given: u32) -> u32 {
    u32::from(Gravity::NORTH_WEST) | given << 8 | PAGER << 12
}

pub(super) fn frame_of(extents: &[u32]) -> Frame {
    match *extents {
        [left, right, top, bottom] => Frame {
            left,
            right,
            top,
            bottom,
        },
        _ => Frame::default(),
    }
}

/// A program's text as UTF-8: cut to [`MAX_TEXT`] bytes, what is no UTF-8 replaced, or read as ISO 8859-1 where the
/// program says that it is that.
pub(super) fn text(bytes: &[u8], latin1: bool) -> String {
    let mut text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) if latin1 => bytes.iter().copied().map(char::from).collect(),
        // What is cut off in the middle of a character is no fault of the text.
        Err(error) if error.error_len().is_none() => {
            String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned()
        }
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    };
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

pub(super) fn numbers(cookie: Pending<'_>) -> Result<Vec<u32>, WindowError> {
    let reply = existing(cookie.reply())?;
    let values = reply.as_ref().and_then(GetPropertyReply::value32);
    Ok(values.map(Iterator::collect).unwrap_or_default())
}

/// The answer, or `None` when what was asked about is gone.
pub(super) fn existing<T>(reply: Result<T, ReplyError>) -> Result<Option<T>, WindowError> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(ReplyError::X11Error(_)) => Ok(None),
        Err(ReplyError::ConnectionError(source)) => Err(lost("asking for a window")(source)),
    }
}

pub(super) fn lost(operation: &'static str) -> impl Fn(ConnectionError) -> WindowError {
    move |source| WindowError::ConnectionLost {
        operation,
        source: Arc::new(source),
    }
}

pub(super) fn refused(operation: &'static str) -> impl Fn(ReplyError) -> WindowError {
    move |source| match source {
        ReplyError::ConnectionError(source) => lost(operation)(source),
        source @ ReplyError::X11Error(_) => WindowError::Refused {
            operation,
            source: Arc::new(source),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_bounded_and_valid() {
        assert_eq!(text("größe".as_bytes(), false), "größe");
        assert_eq!(text(b"gr\xf6\xdfe", true), "größe");
        assert_eq!(text(b"a\xffb", false), "a\u{fffd}b");
        assert_eq!(
            text("gr€".as_bytes().split_last().expect("bytes").1, false),
            "gr"
        );
        let long = text("€".repeat(MAX_TEXT).as_bytes(), false);
        assert!(long.len() <= MAX_TEXT && long.chars().all(|c| c == '€'));
        let long = text(&b"\xf6".repeat(MAX_TEXT), true);
        assert!(long.len() <= MAX_TEXT && long.chars().all(|c| c == 'ö'));
    }

    #[test]
    fn frames_need_all_sides() {
        assert_eq!(frame_of(&[1, 2, 20]), Frame::default());
        assert_eq!(frame_of(&[1, 2, 20, 5]).top, 20);
    }
}
