//! Much at once: files and trees in and out.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use serde_json::json;

use super::{rate, run};
use crate::{
    Outcome,
    cleanup::Place,
    options::Options,
    ours::{Ours, fresh, query, text},
    peers::SandboxAgent,
    process::{program, timed},
    stats::{Contender, alternate},
    table::{Better, Figure, Report, Row},
    trees::{self, drained},
    wire::Wire,
};

/// Bytes that are moved in one go.
fn much(options: &Options) -> u64 {
    if options.quick {
        100_000_000
    } else {
        1_000_000_000
    }
}

fn size(options: &Options) -> &'static str {
    if options.quick { "100 MB" } else { "1 GB" }
}

/// How a row judges the memory that a group of them took.
fn memory_row(what: &str, megabytes: f64) -> Row {
    let figure = Figure::value(megabytes.max(0.0), "MiB", Better::Less);
    Row::new(what, figure).under(16.0)
}

/// One file in, out, and out into a file, beside `cp`.
pub(super) fn transfer(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let folder = place.folder("transfer-")?;
    let bytes = much(options);
    let source = folder.join("source");
    trees::text(&source, bytes)?;
    let ours = Ours::start(place)?;
    let mut wires = [ours.wire()?, ours.wire()?, ours.wire()?];
    let [one, two, three] = &mut wires;
    let file = File::open(&source)?;
    let read = format!("/api/v0/read-file?path={}", query(&source));
    let rounds = options.samples(20);
    let mut agent = agent(place, options, &folder)?;
    // Once before its memory counts: what a connection and the allocator hold anyway.
    two.get(&read, &mut |_| Ok(()))?;
    let mut contenders = vec![
        Contender::new(|| {
            let to = fresh(&folder, "put");
            one.put(&format!("/api/v0/write-file?path={}", query(&to)), &file)
        }),
        Contender::new(|| {
            let received = two.get(&read, &mut |_| Ok(()))?;
            whole(received.bytes, bytes)?;
            Ok(received.taken)
        }),
        Contender::new(|| {
            let mut to = File::create(fresh(&folder, "got"))?;
            let received = three.get(&read, &mut |piece| Ok(to.write_all(piece)?))?;
            whole(received.bytes, bytes)?;
            Ok(received.taken)
        }),
        Contender::new(|| {
            let to = fresh(&folder, "copy");
            let mut cp = program(place, "cp");
            timed(cp.arg("--reflink=never").arg(&source).arg(&to))
        }),
    ];
    if let Some((_, put, get)) = &mut agent {
        let to = folder.join("agent");
        let path = format!("/v1/fs/file?path={}", query(&to));
        contenders.push(Contender::every(5, {
            let (path, to, file) = (path.clone(), to.clone(), &file);
            move || {
                let _ = fs::remove_file(&to);
                put.put(&path, file)
            }
        }));
        contenders.push(Contender::every(5, move || {
            let received = get.get(&path, &mut |_| Ok(()))?;
            whole(received.bytes, bytes)?;
            Ok(received.taken)
        }));
    }
    let growth = ours.growth(|| alternate(1, rounds, &mut contenders))?;
    transferred(bytes, size(options), &contenders, report);
    report.add(memory_row("resident memory over these", growth));
    Ok(())
}

/// The rows of [`transfer`].
fn transferred(bytes: u64, size: &str, contenders: &[Contender<'_>], report: &mut Report) {
    let whats = [
        (format!("{size} by PUT"), 0),
        (format!("{size} by GET"), 1),
        (
            format!("{size} by GET, written into a file by the client"),
            2,
        ),
    ];
    for (what, at) in whats {
        let judged = (at < 2).then_some(0.7);
        let peer = rate(bytes, &contenders[3].samples);
        let mut row =
            Row::new(&what, rate(bytes, &contenders[at].samples)).peer("cp", peer, judged);
        if let Some(agent) = contenders.get(4 + at).filter(|_| at < 2) {
            row = row.peer("sandbox-agent", rate(bytes, &agent.samples), None);
        }
        report.add(row);
    }
}

/// The peer with two connections, if it was asked for and takes so much: it answers from memory.
fn agent(
    place: &Place,
    options: &Options,
    folder: &Path,
) -> Outcome<Option<(SandboxAgent, Wire, Wire)>> {
    if !options.peers {
        return Ok(None);
    }
    let agent = SandboxAgent::start(place)?;
    let connect = || Wire::connect(agent.address(), "");
    let (mut put, get) = (connect()?, connect()?);
    let source = File::open(folder.join("source"))?;
    let path = format!("/v1/fs/file?path={}", query(&folder.join("agent")));
    if let Err(error) = put.put(&path, &source) {
        eprintln!("  sandbox-agent does not take it: {error}");
        return Ok(None);
    }
    Ok(Some((agent, put, get)))
}

fn whole(came: u64, due: u64) -> Outcome<()> {
    if came == due {
        return Ok(());
    }
    Err(format!("{came} bytes came, {due} were due").into())
}

/// A tree of large files as tar, out and in, beside `tar`.
pub(super) fn archive(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let folder = place.folder("archive-")?;
    let bytes = much(options);
    let source = folder.join("source");
    trees::tree(&source, 100, usize::try_from(bytes / 100)?)?;
    let packed = folder.join("packed.tar");
    timed(
        program(place, "tar")
            .arg("-cf")
            .args([&packed])
            .arg("-C")
            .arg(&source)
            .arg("."),
    )?;
    let ours = Ours::start(place)?;
    let mut wires = [ours.wire()?, ours.wire()?];
    let [one, two] = &mut wires;
    let file = File::open(&packed)?;
    let read = format!("/api/v0/archive?path={}", query(&source));
    one.get(&read, &mut |_| Ok(()))?;
    let mut contenders = vec![
        Contender::new(|| {
            let received = one.get(&read, &mut |_| Ok(()))?;
            if received.bytes < bytes {
                return Err("the archive is too short".into());
            }
            Ok(received.taken)
        }),
        Contender::new(|| {
            let mut tar = program(place, "tar");
            Ok(drained(tar.arg("-cf").arg("-").arg("-C").arg(&source).arg("."))?.taken)
        }),
        Contender::new(|| {
            let to = fresh(&folder, "in");
            two.put(&format!("/api/v0/archive?path={}", query(&to)), &file)
        }),
        Contender::new(|| {
            let to = fresh(&folder, "peer");
            fs::create_dir(&to)?;
            timed(
                program(place, "tar")
                    .arg("-xf")
                    .arg(&packed)
                    .arg("-C")
                    .arg(&to),
            )
        }),
    ];
    let growth = ours.growth(|| alternate(1, options.samples(20), &mut contenders))?;
    let size = size(options);
    for (what, at) in [("out", 0), ("in", 2)] {
        let peer = rate(bytes, &contenders[at + 1].samples);
        let row = Row::new(
            &format!("{size} as tar, {what}"),
            rate(bytes, &contenders[at].samples),
        );
        report.add(row.peer("tar", peer, Some(0.7)));
    }
    report.add(memory_row("resident memory over these", growth));
    Ok(())
}

/// 64 KiB written and read, in memory and on a file system in memory.
pub(super) fn memory(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Ours::start(place)?;
    let body = json!({"at": "/bench-memory", "provider": "memory"});
    ours.post("/api/v0/mounts", &body, 201)?;
    let shared = tempfile::Builder::new()
        .prefix("deskd-bench-")
        .tempdir_in("/dev/shm")?;
    let mut clients = [ours.client()?, ours.client()?];
    let [one, two] = &mut clients;
    let content = "0123456789abcde\n".repeat(4096);
    let requests = |client: &crate::http::Client, path: &str| {
        let write = client.post(&format!("/api/v0/write-file?path={path}"), &content);
        (write, client.get(&format!("/api/v0/read-file?path={path}")))
    };
    let in_memory = requests(one, "/bench-memory/file");
    let on_tmpfs = requests(two, &query(&shared.path().join("file")));
    let both = |client: &mut crate::http::Client, (write, read): &(_, _)| {
        let written = client.expect(write, 200)?.taken;
        let answer = client.expect(read, 200)?;
        whole(answer.body.len() as u64, content.len() as u64)?;
        Ok(written + answer.taken)
    };
    let mut contenders = vec![
        Contender::new(|| both(one, &in_memory)),
        Contender::new(|| both(two, &on_tmpfs)),
    ];
    alternate(50, options.samples(3000), &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    report.add(
        Row::new("64 KiB written and read, memory mount", figure(0)).peer(
            "host mount on tmpfs",
            figure(1),
            Some(1.0),
        ),
    );
    Ok(())
}

/// 20 000 files made a directory of the machine.
pub(super) fn materialize(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let folder = place.folder("materialize-")?;
    let source = folder.join("source");
    trees::tree(&source, 20_000, 2048)?;
    let ours = Ours::start(place)?;
    // All of them stay to the end: ext4 is slow to make files where many have just been removed.
    let (mut made, mut copied) = (0, 0);
    let mut contenders = vec![
        Contender::new(|| {
            made += 1;
            let to = folder.join(format!("ours-{made}"));
            let mut client = ours.client()?;
            let body = json!({"path": text(&source)?, "to": text(&to)?});
            let request = client.post("/api/v0/materialize", &body.to_string());
            let taken = client.expect(&request, 200)?.taken;
            count(&to, 20_000)?;
            Ok(taken)
        }),
        Contender::new(|| {
            copied += 1;
            let to = folder.join(format!("peer-{copied}"));
            run(place, "cp", &[Path::new("-r"), &source, &to])
        }),
    ];
    alternate(1, options.samples(10), &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    let row = Row::new("20 000 files materialized", figure(0));
    report.add(row.peer("cp -r", figure(1), Some(0.67)));
    drop(contenders);
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn count(path: &Path, due: usize) -> Outcome<()> {
    let mut files = 0;
    for directory in fs::read_dir(path)? {
        files += fs::read_dir(directory?.path())?.count();
    }
    if files == due {
        return Ok(());
    }
    Err(format!("{files} files instead of {due}").into())
}
