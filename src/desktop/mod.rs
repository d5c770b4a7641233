//! The supervised desktop.

pub mod geometry;
pub mod relay;
pub mod rfb;
pub mod viewers;
pub mod x11;
