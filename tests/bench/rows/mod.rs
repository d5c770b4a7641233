//! The rows of the table, in groups that share a daemon.

mod bare;
mod batch;
mod coder;
mod daemon;
mod mcp;
mod pictures;
mod relay;
mod sandbox_agent;
mod screen;
mod settle;
mod start;
mod typing;

use crate::{Outcome, cleanup::Place, options::Options, table::Report};

/// Rows that are measured together.
pub(crate) struct Group {
    /// Their keys, for `--only`.
    pub(crate) rows: &'static [&'static str],
    /// Measures those that are wanted.
    pub(crate) measure: fn(&Place, &Options, &mut Report) -> Outcome<()>,
}

/// All of them, in the order of the table.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        rows: &["daemon"],
        measure: daemon::measure,
    },
    Group {
        rows: &[
            "click",
            "text",
            "jpeg",
            "unchanged",
            "photo",
            "type",
            "batch",
            "settle",
        ],
        measure: screen::measure,
    },
    Group {
        rows: &["coder"],
        measure: coder::measure,
    },
    Group {
        rows: &["start", "first"],
        measure: start::measure,
    },
    Group {
        rows: &["mcp"],
        measure: mcp::measure,
    },
    Group {
        rows: &["relay"],
        measure: relay::measure,
    },
];
