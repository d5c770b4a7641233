//! The supervised desktop.

pub mod capture;
pub mod encode;
pub mod geometry;
pub mod picture;
pub mod pixels;
pub mod relay;
pub mod rfb;
pub mod viewers;
pub mod x11;
