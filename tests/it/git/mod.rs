//! The routes of repositories, over the wire, beside the git program.

mod history;
mod repo;
mod rest;
mod watch;
