//! Wire types of the file routes.

pub mod edits;
pub mod entry;
pub mod lines;
pub mod materialize;
pub mod mounts;
pub mod names;
pub mod search;
pub mod time;
pub mod tree;
pub mod watch;
pub mod write;
