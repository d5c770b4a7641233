//! The file routes, over the wire and on a real file system.

mod archive;
mod edit;
mod helpers;
mod lines;
mod looking;
mod mounts;
mod read;
mod search;
mod survival;
mod tree;
mod write;
