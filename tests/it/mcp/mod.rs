//! The Model Context Protocol from outside: sessions, every tool, resources, the bridge, and the official clients.

mod bridge;
mod client;
mod desktop;
mod files;
mod hostile;
mod official;
mod processes;
mod resources;
mod sessions;
