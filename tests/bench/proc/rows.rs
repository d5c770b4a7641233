//! The rows: short commands, much output, many processes, their end.

use std::{
    fs,
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Outcome,
    cleanup::Place,
    live,
    options::Options,
    ours::Ours,
    peers::{SandboxAgent, SweRex},
    process::{processor_seconds, program, resident, timed},
    shell::Shell,
    stats::{Contender, alternate},
    suite::Measure,
    table::{Better, Figure, Limit, Report, Row},
};

/// All of them, in the order of the table.
pub(crate) const ROWS: &[(&str, Measure)] = &[
    ("start and wait of true", short),
    ("1 GB of output", much),
    ("1000 processes", many),
    ("10 000 short children", live::burst),
    ("kill", kill),
    ("time limit", live::time_limit),
    ("end to answer", live::endings),
    ("byte to client", live::latency),
];

/// Both peers, when they were asked for.
fn peers(place: &Place, options: &Options) -> Outcome<Option<(SandboxAgent, SweRex)>> {
    if !options.peers {
        return Ok(None);
    }
    Ok(Some((SandboxAgent::start(place)?, SweRex::start(place)?)))
}

fn short(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Ours::start(place)?;
    let peers = peers(place, options)?;
    let mut shell = Shell::start(place)?;
    let (mut one, mut two) = (ours.client()?, ours.client()?);
    let body = json!({"argv": ["/bin/true"]});
    let mut contenders = vec![
        Contender::new(|| timed(&mut program(place, "/bin/true"))),
        Contender::new(|| Ok(one.run(&body)?.0)),
        Contender::new(|| {
            let start = Instant::now();
            let id = two.begin(&body)?;
            two.wait(&id)?;
            Ok(start.elapsed())
        }),
        Contender::new(|| Ok(shell.line("/bin/true; echo $?")?.0)),
    ];
    if let Some((agent, swe)) = &peers {
        contenders.push(Contender::every(5, || agent.run(&["/bin/true"])));
        contenders.push(Contender::every(5, || swe.run(&["/bin/true"])));
    }
    alternate(20, options.samples(1000), &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    let rows = [("one request", 1), ("two requests", 2)];
    for (what, at) in rows {
        let mut row = Row::new(&format!("start and wait of true, {what}"), figure(at))
            .floor(figure(0), Limit::AtMost(1.5))
            .under(3.0)
            .peer("sh", figure(3), None);
        if peers.is_some() {
            row = row
                .peer("sandbox-agent", figure(4), None)
                .peer("swe-rex", figure(5), None);
        }
        report.add(row);
    }
    Ok(())
}

/// Lines of text, because zeroes would be six times as long in JSON.
fn text(place: &Place, bytes: usize) -> Outcome<PathBuf> {
    let path = place.folder("text-")?.join("text");
    let mut file = BufWriter::new(fs::File::create(&path)?);
    let line = b"0123456789abcdefghijklmnopqrstuvwxyz\n";
    let mut left = bytes;
    while left > 0 {
        let part = left.min(line.len());
        file.write_all(&line[..part])?;
        left -= part;
    }
    file.flush()?;
    Ok(path)
}

fn much(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let bytes = if options.quick {
        100_000_000
    } else {
        1_000_000_000
    };
    let path = text(place, bytes)?;
    let file = path.to_str().ok_or("a path of ours is text")?;
    let ours = Ours::start(place)?;
    let mut client = ours.client()?;
    let (daemon, keeper) = ours.pids()?;
    let before = (resident(daemon)?, resident(keeper)?);
    let speed = |time: Duration| {
        let megabytes = f64::from(u32::try_from(bytes).expect("below 4 GB")) / 1e6;
        Figure::value(megabytes / time.as_secs_f64(), "MB/s", Better::More)
    };
    // Once for the pages of the file.
    drained(place, &path)?;
    let mut contenders = vec![
        Contender::new(|| drained(place, &path)),
        Contender::new(|| {
            let (taken, result) = client.run(&json!({"argv": ["cat", file]}))?;
            if result["stdout_bytes"] != bytes {
                return Err(format!("not all bytes: {}", result["stdout_bytes"]).into());
            }
            Ok(taken)
        }),
        Contender::new(|| {
            let mut sh = program(place, "sh");
            timed(sh.args(["-c", "cat \"$0\" | cat >/dev/null", file]))
        }),
    ];
    alternate(1, 5, &mut contenders)?;
    let middle = |at: usize| contenders[at].samples.quantile(50);
    let mut row = Row::new("output of one process", speed(middle(1)))
        .beside(speed(middle(0)))
        .over(500.0)
        .peer("sh", speed(middle(2)), None);
    drop(contenders);
    if options.peers {
        row = output_of_peers(place, row, bytes, file)?;
    }
    report.add(row);
    let mut one = ours.client()?;
    let stalled = live::stalled_reader(&ours, &mut one, file, bytes)?;
    report.add(Row::new("output beside a client that does not read", speed(stalled)).over(500.0));
    let after = (resident(daemon)?, resident(keeper)?);
    for (what, before, after) in [
        ("daemon's memory over it", before.0, after.0),
        ("keeper's memory over it", before.1, after.1),
    ] {
        let grown = (after - before) / 1024.0;
        report.add(Row::new(what, Figure::value(grown, "MiB", Better::Less)).under(16.0));
    }
    Ok(())
}

/// The peers hold what they answer in memory: the first a part of it; the second all, and therefore gets a tenth.
fn output_of_peers(place: &Place, row: Row, bytes: usize, file: &str) -> Outcome<Row> {
    let (agent, swe) = (SandboxAgent::start(place)?, SweRex::start(place)?);
    let number = |bytes: usize| f64::from(u32::try_from(bytes).expect("below 4 GB")) / 1e6;
    let speed = |bytes: usize, time: Duration| {
        let speed = number(bytes) / time.as_secs_f64();
        Figure::value(speed, "MB/s", Better::More)
    };
    let before = resident(agent.pid())?;
    let taken = agent.run(&["cat", file])?;
    let grown = (resident(agent.pid())? - before) / 1024.0;
    let first = speed(bytes, taken).note(&format!("keeps 1 MiB, grows {grown:.0} MiB"));
    let tenth = (bytes / 10).to_string();
    let before = resident(swe.pid())?;
    let taken = swe.run(&["head", "-c", &tenth, file])?;
    let grown = (resident(swe.pid())? - before) / 1024.0;
    let second = speed(bytes / 10, taken).note(&format!("a tenth of it, grows {grown:.0} MiB"));
    Ok(row
        .peer("sandbox-agent", first, None)
        .peer("swe-rex", second, None))
}

/// The same bytes read from a pipe and thrown away.
fn drained(place: &Place, file: &Path) -> Outcome<Duration> {
    let start = Instant::now();
    let mut child = program(place, "cat")
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut pipe = child.stdout.take().ok_or("it is piped")?;
    let mut buffer = vec![0; 128 << 10];
    while pipe.read(&mut buffer)? > 0 {}
    child.wait()?;
    Ok(start.elapsed())
}

fn many(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let count = options.samples(1000);
    let ours = Ours::start(place)?;
    let mut client = ours.client()?;
    let (daemon, keeper) = ours.pids()?;
    let before = (resident(daemon)?, resident(keeper)?);
    let threads = || threads_of(daemon) + threads_of(keeper);
    let threads_before = threads();
    let body = json!({"argv": ["sleep", "1000"]});
    let number = f64::from(u32::try_from(count)?);
    let each = |time: Duration| {
        let millis = time.as_secs_f64() * 1e3 / number;
        Figure::value(millis, "ms", Better::Less)
    };
    let start = Instant::now();
    let ids = (0..count)
        .map(|_| client.begin(&body))
        .collect::<Outcome<Vec<_>>>()?;
    let started = start.elapsed();
    let after = (resident(daemon)?, resident(keeper)?);
    let (others, others_end) = many_of_others(place, options, count, &each)?;
    report.add(others.into_iter().fold(
        Row::new("start of one of 1000 that sleep", each(started)),
        |row, (name, figure)| row.peer(name, figure, None),
    ));
    for (what, before, after) in [
        (
            "memory of the daemon for each that sleeps",
            before.0,
            after.0,
        ),
        (
            "memory of the keeper for each that sleeps",
            before.1,
            after.1,
        ),
    ] {
        let each = (after - before) / number;
        report.add(Row::new(what, Figure::value(each, "KiB", Better::Less)).under(16.0));
    }
    let more = f64::from(u32::try_from(threads().saturating_sub(threads_before))?);
    report.add(Row::new(
        "threads more while they sleep",
        Figure::value(more, "", Better::Less),
    ));
    let used = || processor_seconds(daemon, false) + processor_seconds(keeper, false);
    let at_first = used();
    crate::process::pause(Duration::from_secs(5));
    let percent = (used() - at_first) / 5.0 * 100.0;
    report.add(Row::new(
        "processor time while they sleep",
        Figure::value(percent, "%", Better::Less),
    ));
    // The others took their time, and a connection that is not used for half a minute is closed.
    let mut client = ours.client()?;
    let start = Instant::now();
    for id in &ids {
        client.kill(id)?;
    }
    for id in &ids {
        client.wait(id)?;
    }
    report.add(others_end.into_iter().fold(
        Row::new(
            "kill of each of them, one after the other",
            each(start.elapsed()),
        ),
        |row, (name, figure)| row.peer(name, figure, None),
    ));
    Ok(())
}

type Named = Vec<(&'static str, Figure)>;

/// The same with a shell's jobs, and with the peers; how long each start took, and each end.
fn many_of_others(
    place: &Place,
    options: &Options,
    count: usize,
    each: &impl Fn(Duration) -> Figure,
) -> Outcome<(Named, Named)> {
    let mut shell = Shell::start(place)?;
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for _ in 0..count {
        shell.line("sleep 1000 >/dev/null 2>&1 & P=\"$P $!\"; echo")?;
    }
    starts.push(("sh", each(start.elapsed())));
    let (taken, _) = shell.line("kill -9 $P; wait 2>/dev/null; echo")?;
    ends.push(("sh", each(taken)));
    if let Some((agent, swe)) = peers(place, options)? {
        let start = Instant::now();
        let ids = (0..count)
            .map(|_| agent.begin(&["sleep", "1000"]))
            .collect::<Outcome<Vec<_>>>()?;
        starts.push(("sandbox-agent", each(start.elapsed())));
        let start = Instant::now();
        for id in &ids {
            agent.kill(id)?;
        }
        ends.push(("sandbox-agent", each(start.elapsed())));
        // Typed to a bash, one at a time; a tenth of them, for each takes long.
        let few = (count / 10).max(1);
        let all = |taken: Duration| taken * u32::try_from(count / few).unwrap_or(1);
        swe.renew()?;
        let start = Instant::now();
        for _ in 0..few {
            swe.type_line("sleep 1000 >/dev/null 2>&1 &")?;
        }
        let figure = each(all(start.elapsed())).note("jobs of a bash");
        starts.push(("swe-rex", figure));
        let (taken, _) = swe.type_line("kill -9 $(jobs -p); wait 2>/dev/null")?;
        let figure = each(all(taken)).note("all in one line");
        ends.push(("swe-rex", figure));
    }
    Ok((starts, ends))
}

fn threads_of(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

fn kill(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Ours::start(place)?;
    let mut client = ours.client()?;
    let peers = peers(place, options)?;
    let mut shell = Shell::start(place)?;
    let body = json!({"argv": ["sleep", "1000"]});
    let mut contenders = vec![
        Contender::new(|| {
            let mut child = program(place, "sleep").arg("1000").spawn()?;
            let start = Instant::now();
            child.kill()?;
            child.wait()?;
            Ok(start.elapsed())
        }),
        Contender::new(|| {
            let id = client.begin(&body)?;
            let start = Instant::now();
            client.kill(&id)?;
            client.wait(&id)?;
            Ok(start.elapsed())
        }),
        Contender::new(|| {
            shell.line("sleep 1000 >/dev/null 2>&1 & echo")?;
            Ok(shell.line("kill -9 $!; wait $! 2>/dev/null; echo")?.0)
        }),
    ];
    if let Some((agent, swe)) = &peers {
        contenders.push(Contender::new(|| {
            let id = agent.begin(&["sleep", "1000"])?;
            agent.kill(&id)
        }));
        contenders.push(Contender::every(5, || {
            swe.type_line("sleep 1000 >/dev/null 2>&1 &")?;
            Ok(swe.type_line("kill -9 $!; wait $! 2>/dev/null")?.0)
        }));
    }
    alternate(5, options.samples(200), &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    let mut row = Row::new("kill to the answer of a waiter", figure(1))
        .beside(figure(0))
        .peer("sh", figure(2), None);
    if peers.is_some() {
        row = row
            .peer("sandbox-agent", figure(3), None)
            .peer("swe-rex", figure(4), None);
    }
    report.add(row);
    Ok(())
}
