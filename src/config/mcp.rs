//! Settings of the Model Context Protocol.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::parse_seconds;
use crate::{api::mcp::Settings, desktop::geometry::Size};

/// Flags of `deskd serve` about `/mcp`.
#[expect(
    clippy::struct_field_names,
    reason = "the flags are named after the fields"
)]
#[derive(Args, Clone, Debug)]
pub struct McpArgs {
    /// List the tools under the names of the Coder workspace tools, too
    #[arg(long, env = "DESKD_MCP_ALIASES")]
    pub mcp_aliases: bool,
    /// What becomes of the processes that a session started when it ends
    #[arg(
        long,
        env = "DESKD_MCP_ON_DISCONNECT",
        value_enum,
        default_value = "keep"
    )]
    pub mcp_on_disconnect: OnDisconnect,
    /// Time after which a session that nobody uses ends, in seconds
    #[arg(long, env = "DESKD_MCP_IDLE", value_name = "SECONDS", default_value = "1800", value_parser = parse_seconds)]
    pub mcp_idle: Duration,
    /// Bytes of a picture in an answer, as it is sent
    #[arg(long, env = "DESKD_MCP_PICTURE_BYTES", value_name = "BYTES", default_value = "800000", value_parser = clap::value_parser!(u64).range(20_000..=20_000_000))]
    pub mcp_picture_bytes: u64,
}

/// What becomes of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnDisconnect {
    /// They go on.
    Keep,
    /// They are ended.
    End,
}

/// The part of the protocol.
pub(super) fn config(args: &McpArgs, desktop_size: Size) -> Settings {
    Settings {
        aliases: args.mcp_aliases,
        end_processes: args.mcp_on_disconnect == OnDisconnect::End,
        idle: args.mcp_idle,
        picture_bytes: args.mcp_picture_bytes,
        desktop_size,
    }
}
