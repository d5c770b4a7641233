//! The only code that speaks the X protocol: connections, pictures, input.

mod changes;
pub mod connection;
mod cursor;
mod damage;
mod image;
pub mod inject;
mod keymap;
mod randr;
pub mod root;
pub mod source;
mod text;

pub use connection::{Address, ConnectError, connect};
pub use inject::XtestSink;
pub use source::X11Source;
