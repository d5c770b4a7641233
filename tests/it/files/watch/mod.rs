//! Watching: whoever applies what is told to a listing taken after `ready` ends with the tree as it is.

mod cursors;
mod kinds;
mod limits;
mod media;
pub mod mirror;
mod rules;
mod storms;
