//! Wire types per area, with their conversions. The only place where domain data meets serde.

pub mod batch;
pub mod chats;
pub mod clipboard;
pub mod computer;
pub mod desktop;
pub mod files;
pub mod git;
pub mod health;
pub mod launch;
pub mod process_answers;
pub mod processes;
pub mod settle;
pub mod tokens;
pub mod tool_calls;
pub mod windows;
