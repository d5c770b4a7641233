//! Integration tests: one binary, one file a module, against real programs.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "one binary: helpers are public to its own modules only, and serve several of them"
)]

mod agents;
mod batch;
mod capture;
mod clipboard;
mod computer;
mod desktop;
mod files;
mod held;
mod host;
mod hostile;
mod input;
mod launch;
mod loans;
mod processes;
mod relay;
mod server;
mod settle;
mod supervision;
mod support;
mod tool_calls;
mod typing;
mod vnc;
mod windows;
