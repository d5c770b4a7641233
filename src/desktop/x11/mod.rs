//! The only code that speaks the X protocol: connections, pictures, input.

pub mod connection;

pub use connection::{Address, ConnectError, connect};
