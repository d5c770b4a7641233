//! Integration tests: one binary, one file a module, against real programs.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "one binary: helpers are public to its own modules only, and serve several of them"
)]

mod agents;
mod batch;
mod capture;
mod chats;
mod clipboard;
mod command_line;
mod computer;
mod console;
mod desktop;
mod files;
mod git;
mod held;
mod host;
mod hostile;
mod input;
mod launch;
mod loans;
mod mcp;
mod openapi;
mod operator;
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
