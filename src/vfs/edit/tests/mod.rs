//! The matcher as its callers see it.

mod properties;
mod reports;
mod vectors;
