//! The routes of repositories: check, convert, forward, answer. Nothing here changes one.

pub mod diff;
pub mod log;
pub mod messages;
pub mod query;
pub mod repos;
pub mod show;
pub mod status;
pub mod watch;
