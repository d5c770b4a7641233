//! The rows: short commands, much output, many processes, their end.

use std::{
    io::Read,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Options, Outcome,
    cleanup::Place,
    ours::Ours,
    peers::{SandboxAgent, SweRex},
    process::{processor_seconds, program, resident, timed},
    stats::{Contender, alternate},
    table::{Better, Figure, Limit, Report, Row},
};

type Measure = fn(&Place, &Options, &mut Report) -> Outcome<()>;

/// All of them, in the order of the table.
pub(crate) const ROWS: &[(&str, Measure)] = &[
    ("start and wait of true", short),
    ("1 GB of output", much),
    ("1000 processes", many),
    ("kill", kill),
];

fn short(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Ours::start(place)?;
    let peers = if options.peers {
        Some((SandboxAgent::start(place)?, SweRex::start(place)?))
    } else {
        None
    };
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
    ];
    if let Some((agent, swe)) = &peers {
        contenders.push(Contender::every(5, || agent.run_true()));
        contenders.push(Contender::every(5, || swe.run_true()));
    }
    alternate(20, options.samples(1000), &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    let mut row = Row::new("start and wait of true, one request", figure(1))
        .floor(figure(0), Limit::AtMost(1.5))
        .under(3.0);
    if peers.is_some() {
        row = row
            .peer("sandbox-agent", figure(3), None)
            .peer("swe-rex", figure(4), None);
    }
    report.add(row);
    report.add(
        Row::new("start and wait of true, two requests", figure(2))
            .floor(figure(0), Limit::AtMost(1.5))
            .under(3.0),
    );
    Ok(())
}

fn much(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let bytes: u32 = if options.quick {
        100_000_000
    } else {
        1_000_000_000
    };
    let ours = Ours::start(place)?;
    let mut client = ours.client()?;
    let (daemon, keeper) = ours.pids()?;
    let before = (resident(daemon)?, resident(keeper)?);
    let count = bytes.to_string();
    let body = json!({"argv": ["head", "-c", count, "/dev/zero"]});
    let (taken, result) = client.run(&body)?;
    if result["stdout_bytes"] != bytes {
        return Err(format!("not all bytes: {}", result["stdout_bytes"]).into());
    }
    let after = (resident(daemon)?, resident(keeper)?);
    let speed = |time: Duration| f64::from(bytes) / time.as_secs_f64() / 1e6;
    let floor = drained(place, bytes)?;
    let unit = "MB/s";
    report.add(
        Row::new(
            "output of one process",
            Figure::value(speed(taken), unit, Better::More),
        )
        .beside(Figure::value(speed(floor), unit, Better::More)),
    );
    for (what, before, after) in [
        ("daemon's memory over it", before.0, after.0),
        ("keeper's memory over it", before.1, after.1),
    ] {
        let grown = (after - before) / 1024.0;
        report.add(Row::new(what, Figure::value(grown, "MiB", Better::Less)).under(16.0));
    }
    Ok(())
}

/// The same bytes read from a pipe and thrown away.
fn drained(place: &Place, bytes: u32) -> Outcome<Duration> {
    let start = Instant::now();
    let mut child = program(place, "head")
        .args(["-c", &bytes.to_string(), "/dev/zero"])
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
    let body = json!({"argv": ["sleep", "1000"]});
    let ids = (0..count)
        .map(|_| client.begin(&body))
        .collect::<Outcome<Vec<_>>>()?;
    let after = (resident(daemon)?, resident(keeper)?);
    let number = f64::from(u32::try_from(count)?);
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
    let used = || processor_seconds(daemon, false) + processor_seconds(keeper, false);
    let at_first = used();
    crate::process::pause(Duration::from_secs(5));
    let percent = (used() - at_first) / 5.0 * 100.0;
    report.add(Row::new(
        "processor time while they sleep",
        Figure::value(percent, "%", Better::Less),
    ));
    let start = Instant::now();
    for id in &ids {
        client.kill(id)?;
    }
    for id in &ids {
        client.wait(id)?;
    }
    let each = start.elapsed().as_secs_f64() * 1e3 / number;
    report.add(Row::new(
        "kill of each of them, one after the other",
        Figure::value(each, "ms", Better::Less),
    ));
    Ok(())
}

fn kill(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Ours::start(place)?;
    let mut client = ours.client()?;
    let body = json!({"argv": ["sleep", "1000"]});
    let mut contenders = [
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
    ];
    alternate(5, options.samples(200), &mut contenders)?;
    let [floor, ours] = &contenders;
    report.add(
        Row::new(
            "kill to the answer of a waiter",
            Figure::time(&ours.samples),
        )
        .beside(Figure::time(&floor.samples)),
    );
    Ok(())
}
