//! Integration tests: one binary, one file a module, against real programs.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "one binary: helpers are public to its own modules only, and serve several of them"
)]

mod capture;
mod desktop;
mod host;
mod hostile;
mod input;
mod processes;
mod relay;
mod server;
mod supervision;
mod support;
mod typing;
mod vnc;
