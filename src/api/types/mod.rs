//! Wire types per area, with their conversions. The only place where domain data meets serde.

pub mod desktop;
pub mod health;
pub mod process_answers;
pub mod processes;
