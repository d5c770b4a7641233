//! Wire types per area, with their conversions. The only place where domain data meets serde.

pub mod batch;
pub mod clipboard;
pub mod computer;
pub mod desktop;
pub mod health;
pub mod process_answers;
pub mod processes;
pub mod settle;
pub mod windows;
