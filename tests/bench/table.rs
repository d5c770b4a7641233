//! Rows of figures, judged by their ratios, as a table or as JSON.

use std::io::{self, Write as _};

use serde_json::json;

use crate::stats::Samples;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

/// A number and how it is printed.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    value: f64,
    better: Better,
    text: String,
}

impl Figure {
    /// Milliseconds: the median counts, the 99th percentile stands beside it.
    pub(crate) fn time(samples: &Samples) -> Self {
        let (middle, high) = (
            millis(samples.quantile(50).as_secs_f64()),
            millis(samples.quantile(99).as_secs_f64()),
        );
        Self {
            value: samples.quantile(50).as_secs_f64() * 1e3,
            better: Better::Less,
            text: format!("{middle} / {high} ms"),
        }
    }

    /// A number with its unit.
    pub(crate) fn value(value: f64, unit: &str, better: Better) -> Self {
        Self {
            value,
            better,
            text: format!("{} {unit}", rounded(value)),
        }
    }

    /// Says something more behind the number.
    #[must_use]
    pub(crate) fn note(mut self, note: &str) -> Self {
        self.text = format!("{} ({note})", self.text);
        self
    }
}

/// What a ratio must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy, Debug)]
struct Check {
    ratio: f64,
    limit: Limit,
}

impl Check {
    /// Judged as printed.
    fn holds(self) -> bool {
        let ratio = (self.ratio * 100.0).round() / 100.0;
        match self.limit {
            Limit::AtMost(limit) => ratio <= limit,
            Limit::AtLeast(limit) => ratio >= limit,
        }
    }

    fn text(self) -> String {
        let (sign, limit) = match self.limit {
            Limit::AtMost(limit) => ('≤', limit),
            Limit::AtLeast(limit) => ('≥', limit),
        };
        format!("{} ({sign} {limit})", rounded(self.ratio))
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    what: String,
    ours: Figure,
    floor: Option<Figure>,
    peers: Vec<(String, Figure, Option<f64>)>,
    checks: Vec<Check>,
    to_floor: String,
    to_peers: Vec<String>,
}

impl Row {
    /// A row with our figure alone.
    pub(crate) fn new(what: &str, ours: Figure) -> Self {
        Self {
            what: what.to_owned(),
            ours,
            floor: None,
            peers: Vec::new(),
            checks: Vec::new(),
            to_floor: String::new(),
            to_peers: Vec::new(),
        }
    }

    /// Ours must be no more than so many units.
    #[must_use]
    pub(crate) fn under(mut self, limit: f64) -> Self {
        self.check(self.ours.value, Limit::AtMost(limit));
        let ratio = std::mem::take(&mut self.to_floor);
        format!("{ratio} ≤ {limit}")
            .trim_start()
            .clone_into(&mut self.to_floor);
        self
    }

    /// Ours must be no less than so many units.
    #[must_use]
    #[allow(dead_code, reason = "shared by several benchmarks")]
    pub(crate) fn over(mut self, limit: f64) -> Self {
        self.check(self.ours.value, Limit::AtLeast(limit));
        let ratio = std::mem::take(&mut self.to_floor);
        format!("{ratio} ≥ {limit}")
            .trim_start()
            .clone_into(&mut self.to_floor);
        self
    }

    /// The floor, and what ours divided by it must be.
    #[must_use]
    pub(crate) fn floor(mut self, floor: Figure, limit: Limit) -> Self {
        let ratio = self.ours.value / floor.value;
        self.to_floor = self.check(ratio, limit);
        self.floor = Some(floor);
        self
    }

    /// The floor, to know it.
    #[must_use]
    pub(crate) fn beside(mut self, floor: Figure) -> Self {
        self.to_floor = rounded(self.ours.value / floor.value);
        self.floor = Some(floor);
        self
    }

    /// A peer, and how many times better ours must be.
    #[must_use]
    pub(crate) fn peer(mut self, name: &str, peer: Figure, at_least: Option<f64>) -> Self {
        let ratio = match self.ours.better {
            Better::Less => peer.value / self.ours.value,
            Better::More => self.ours.value / peer.value,
        };
        let text = match at_least {
            Some(limit) => self.check(ratio, Limit::AtLeast(limit)),
            None => rounded(ratio),
        };
        self.to_peers.push(format!("{name} {text}"));
        self.peers.push((name.to_owned(), peer, Some(ratio)));
        self
    }

    /// A peer that was measured only when it was asked for.
    #[must_use]
    pub(crate) fn peers(self, name: &str, peer: Option<Figure>, at_least: f64) -> Self {
        match peer {
            Some(figure) => self.peer(name, figure, Some(at_least)),
            None => self,
        }
    }

    fn check(&mut self, ratio: f64, limit: Limit) -> String {
        let check = Check { ratio, limit };
        self.checks.push(check);
        check.text()
    }

    fn verdict(&self) -> &'static str {
        match self.checks.as_slice() {
            [] => "",
            checks if checks.iter().all(|check| check.holds()) => "ok",
            _ => "MISSED",
        }
    }

    fn cells(&self) -> [String; 7] {
        let peers: Vec<String> = self
            .peers
            .iter()
            .map(|(name, figure, _)| format!("{name} {}", figure.text))
            .collect();
        [
            self.what.clone(),
            self.floor
                .as_ref()
                .map(|floor| floor.text.clone())
                .unwrap_or_default(),
            self.ours.text.clone(),
            self.to_floor.clone(),
            peers.join("; "),
            self.to_peers.join("; "),
            self.verdict().to_owned(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let peers: Vec<_> = self
            .peers
            .iter()
            .map(|(name, figure, ratio)| {
                json!({"name": name, "value": figure.value, "text": figure.text, "times_better": ratio})
            })
            .collect();
        json!({
            "what": self.what,
            "ours": {"value": self.ours.value, "text": self.ours.text},
            "floor": self.floor.as_ref().map(|floor| json!({"value": floor.value, "text": floor.text})),
            "peers": peers,
            "verdict": self.verdict(),
        })
    }
}

const HEAD: [&str; 7] = [
    "what",
    "floor, p50 / p99",
    "ours, p50 / p99",
    "ours to floor (target)",
    "the peers' way, p50 / p99",
    "times better than the peer (target)",
    "",
];

/// All rows of a run.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    /// Adds a row, and says it at once.
    pub(crate) fn add(&mut self, row: Row) {
        let cells = row.cells();
        eprintln!("  {}", cells.join(" | "));
        self.0.push(row);
    }

    /// Prints everything to standard output.
    pub(crate) fn print(&self, as_json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if as_json {
            for row in &self.0 {
                writeln!(out, "{}", row.json())?;
            }
            return out.flush();
        }
        let mut lines = vec![HEAD.map(str::to_owned)];
        lines.extend(self.0.iter().map(Row::cells));
        let widths: Vec<usize> = (0..HEAD.len())
            .map(|column| {
                let lengths = lines.iter().map(|line| line[column].chars().count());
                lengths.max().unwrap_or_default()
            })
            .collect();
        for (number, line) in lines.iter().enumerate() {
            write!(out, "|")?;
            for (cell, width) in line.iter().zip(&widths) {
                write!(out, " {cell:width$} |")?;
            }
            writeln!(out)?;
            if number == 0 {
                let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
                writeln!(out, "|{}|", rules.join("|"))?;
            }
        }
        out.flush()
    }
}

fn millis(seconds: f64) -> String {
    rounded(seconds * 1e3)
}

/// Three digits that mean something.
fn rounded(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
