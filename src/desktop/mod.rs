//! The supervised desktop.

pub mod geometry;
