//! deskd: one daemon that gives an AI agent a computer. Modules in reading order.

pub mod app;
pub mod config;
pub mod shutdown;
pub mod telemetry;

pub mod api;
pub mod chat;
pub mod cli;
pub mod client;
pub mod desktop;
pub mod git;
pub mod proc;
pub mod sys;
pub mod toolcall;
pub mod vfs;
