//! The routes of repositories, over the wire, beside the git program.

mod bulk;
mod canaries;
mod history;
mod hostile;
mod locks;
mod repo;
mod rest;
mod sharing;
mod viewer;
mod watch;
