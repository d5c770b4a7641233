//! The file routes: check, convert, forward, answer.

pub mod archive;
pub mod cancel;
pub mod change;
pub mod conditions;
pub mod edit;
pub mod glob;
pub mod lines;
pub mod list;
pub mod materialize;
pub mod mounts;
pub mod query;
pub mod range;
pub mod read;
pub mod receive;
pub mod search;
pub mod stat;
pub mod watch;
pub mod write;
