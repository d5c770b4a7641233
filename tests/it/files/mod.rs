//! The file routes, over the wire and on a real file system.

mod alone;
mod archive;
mod confinement;
mod edit;
pub mod helpers;
mod hung;
mod kept;
mod layers;
mod lines;
mod looking;
mod mounts;
mod names;
mod parameters;
mod programs;
mod read;
mod repository;
mod rights;
mod search;
pub mod shown;
mod survival;
mod swaps;
mod tree;
mod watch;
mod write;
