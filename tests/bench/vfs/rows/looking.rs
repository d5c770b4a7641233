//! Contents searched, a large directory listed.

use std::{
    fs::{self, File},
    path::PathBuf,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    Outcome,
    cleanup::Place,
    options::Options,
    ours::{Ours, query, text},
    process::program,
    stats::{Contender, Samples, alternate},
    table::{Figure, Report, Row},
    trees::{self, drained},
};

/// The sources of all that this was built from: a large tree that every machine has on which this runs.
fn sources() -> Outcome<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo itself is found by the environment"
    )]
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let cargo = variable("CARGO_HOME").or_else(|| Some(variable("HOME")?.join(".cargo")));
    let sources = cargo.ok_or("no home")?.join("registry/src");
    if sources.is_dir() {
        return Ok(sources.canonicalize()?);
    }
    Err(format!("{} is missing: cargo fetch", sources.display()).into())
}

/// Few hits of plain text, many of a pattern.
const PATTERNS: &[(&str, &str)] = &[
    ("few hits", "PTHREAD_MUTEX_INITIALIZER"),
    ("many hits", r"fn \w+_mut\("),
];

/// A tree searched, to its end and to the first hit.
pub(super) fn search(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let root = sources()?;
    let ours = Ours::start(place)?;
    for (name, pattern) in PATTERNS {
        let (mut wire, mut found, mut peer_found) = (ours.wire()?, 0, 0);
        let body = json!({
            "root": text(&root)?, "pattern": pattern, "limit": 100_000, "max_bytes": 64 << 20,
            "timeout_ms": 600_000,
        })
        .to_string();
        let (mut first, mut peer_first) = (Vec::new(), Vec::new());
        let mut contenders = vec![
            Contender::new(|| {
                let mut said = Vec::new();
                let received = wire.lines("/api/v0/search", &body, &mut |piece| {
                    said.extend_from_slice(piece);
                    Ok(())
                })?;
                found = hits(&said)?;
                first.push(received.first);
                Ok(received.taken)
            }),
            Contender::new(|| {
                let mut rg = program(place, "rg");
                rg.args(["--no-config", "--no-require-git", "--no-ignore-global"])
                    .args(["--no-heading", "--line-number", "--column", "-e", pattern])
                    .arg(&root);
                let said = drained(&mut rg)?;
                peer_found = said.lines;
                peer_first.push(said.first);
                Ok(said.taken)
            }),
        ];
        alternate(2, options.samples(30), &mut contenders)?;
        let times: Vec<Samples> = contenders.iter().map(|one| one.samples.clone()).collect();
        drop(contenders);
        if found != peer_found {
            return Err(format!("{found} lines, of rg {peer_found}").into());
        }
        report.add(
            Row::new(
                &format!("search, {name}"),
                Figure::time(&times[0]).note(&format!("{found} lines")),
            )
            .peer("rg", Figure::time(&times[1]), Some(0.77)),
        );
        report.add(
            Row::new("the same, first hit on the wire", counted(&first)).peer(
                "rg",
                counted(&peer_first),
                None,
            ),
        );
    }
    Ok(())
}

/// Without the rounds that warm up.
fn counted(times: &[Duration]) -> Figure {
    let samples: Samples = times.iter().skip(2).copied().collect();
    Figure::time(&samples)
}

/// Lines that were found; the last record must say that all was searched.
fn hits(said: &[u8]) -> Outcome<u64> {
    let text = std::str::from_utf8(said)?;
    let last = text.lines().last().ok_or("no record came")?;
    let end: Value = serde_json::from_str(last)?;
    if end["stopped"] != "done" {
        return Err(format!("the search did not end: {end:.400}").into());
    }
    Ok(text
        .lines()
        .filter(|line| line.contains("\"type\":\"match\""))
        .count() as u64)
}

/// A directory of 100 000 files, with all that is told of each.
pub(super) fn list(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let folder = place.folder("list-")?;
    for number in 0..100_000 {
        File::create(folder.join(format!("file-{number:06}.txt")))?;
    }
    let ours = Ours::start(place)?;
    let mut wire = ours.wire()?;
    let path = query(&folder);
    let page = format!("/api/v0/list?path={path}&limit=100000");
    let mut contenders = vec![
        Contender::new(|| {
            let mut client = ours.client()?;
            let request = client.get(&page);
            let answer = client.expect(&request, 200)?;
            let entries = answer
                .body
                .windows(7)
                .filter(|seven| *seven == b"\"etag\":")
                .count();
            if entries != 100_000 {
                return Err(format!("{entries} entries with a tag").into());
            }
            Ok(answer.taken)
        }),
        Contender::new(|| {
            let mut lines = 0;
            let received = wire.get_lines(&page, &mut |piece| {
                lines += trees::lines(piece);
                Ok(())
            })?;
            if lines != 100_000 {
                return Err(format!("{lines} lines").into());
            }
            Ok(received.taken)
        }),
        Contender::new(|| Ok(drained(program(place, "ls").arg("-l").arg(&folder))?.taken)),
    ];
    alternate(2, options.samples(50), &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    for (what, at) in [("one answer", 0), ("lines", 1)] {
        report.add(
            Row::new(
                &format!("100 000 entries with metadata, {what}"),
                figure(at),
            )
            .under(300.0)
            .peer("ls -l", figure(2), None),
        );
    }
    drop(contenders);
    fs::remove_dir_all(&folder)?;
    Ok(())
}
