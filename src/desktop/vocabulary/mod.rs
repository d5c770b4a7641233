//! Each vendor's words for computer use, to the one [`Action`](crate::desktop::input::Action). Pure.

pub mod coder;
