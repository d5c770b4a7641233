//! Watching: whoever applies what is told to a listing taken after `ready` ends with the tree as it is.

mod cursors;
mod kinds;
mod limits;
mod media;
mod mirror;
mod rules;
mod storms;
