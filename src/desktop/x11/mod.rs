//! The only code that speaks the X protocol: connections, pictures, input.

mod changes;
pub(in crate::desktop) mod clipboard;
pub mod connection;
mod cursor;
mod damage;
mod events;
mod image;
pub mod inject;
mod keymap;
mod randr;
mod remap;
pub mod root;
pub mod source;
mod temporary;
mod text;
mod turn;
pub(in crate::desktop) mod windows;
mod witness;

pub use connection::{Address, ConnectError, connect};
pub use events::Wake;
pub use inject::XtestSink;
pub use source::X11Source;
