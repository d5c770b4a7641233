//! Rows that look at a moment: an ending, a time limit, a byte.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::{
    Outcome,
    cleanup::Place,
    options::Options,
    ours::{Commands, Ours},
    process::until,
    stats::Samples,
    table::{Better, Figure, Report, Row},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn since_1970() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later than 1970").as_secs_f64()
}

/// Time from the stamp that a program printed (`$EPOCHREALTIME` of bash, which is the clock of the day) until now.
fn since_stamp(text: &str) -> Outcome<Duration> {
    let stamp: f64 = text.trim().parse()?;
    Ok(Duration::from_secs_f64((since_1970() - stamp).max(0.0)))
}

/// How long a command takes while a client is attached that never reads.
pub(crate) fn stalled_reader(
    ours: &Ours,
    client: &mut Commands,
    file: &str,
    bytes: usize,
) -> Outcome<Duration> {
    // The reader must be there before the first byte: a line of input starts it.
    let body = json!({"command": "read x; exec cat \"$F\"", "env": {"F": file}, "stdin": "pipe"});
    let id = client.begin(&body)?;
    let _attached = ours.attach(&id)?;
    let start = Instant::now();
    client.input(&id, "\n")?;
    let result = client.wait(&id)?;
    let taken = start.elapsed();
    if result["stdout_bytes"] != bytes {
        return Err(format!("not all bytes: {}", result["stdout_bytes"]).into());
    }
    Ok(taken)
}

/// 64 clients start short commands one after the other; afterwards nothing may be left.
pub(crate) fn burst(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let count = options.samples(10_000);
    let ours = Ours::start(place)?;
    let (_, keeper) = ours.pids()?;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..64)
            .map(|_| {
                scope.spawn(|| -> Outcome<()> {
                    let mut client = ours.client()?;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok(());
                        }
                        let code = number % 256;
                        let script = format!("echo {number}; exit {code}");
                        let (_, result) = client.run(&json!({"argv": ["sh", "-c", script]}))?;
                        if result["exit_code"] != code || result["output"] != format!("{number}\n")
                        {
                            return Err(format!("command {number} gave {result}").into());
                        }
                        client.forget_last()?;
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().map_err(|_| "a client panicked")??;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    let taken = start.elapsed().as_secs_f64();
    until("the end of the last child", PATIENCE, || {
        let children = format!("/proc/{keeper}/task/{keeper}/children");
        fs::read_to_string(children).ok()?.is_empty().then_some(())
    })?;
    let number = f64::from(u32::try_from(count)?);
    let figure = Figure::value(number / taken, "/s", Better::More)
        .note("every code and byte right, no zombie left");
    report.add(Row::new(
        "short commands, 64 clients, 10 000 in all",
        figure,
    ));
    Ok(())
}

/// From the time limit to the end of the last of a hundred grandchildren.
pub(crate) fn time_limit(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Ours::start(place)?;
    let mut client = ours.client()?;
    let (_, keeper) = ours.pids()?;
    let script =
        "i=0; while [ $i -lt 100 ]; do (trap '' TERM; sleep 1000; :) & i=$((i+1)); done; wait";
    let limit = Duration::from_millis(1500);
    let mut late = Vec::new();
    for _ in 0..options.samples(20) {
        let start = Instant::now();
        let millis = u64::try_from(limit.as_millis())?;
        let id = client.begin(&json!({"command": script, "timeout_ms": millis}))?;
        let result = client.wait(&id)?;
        if result["timed_out"] != true {
            return Err(format!("no time limit: {result}").into());
        }
        let family = format!("/proc/{keeper}/task/{keeper}/children");
        until("the end of all", PATIENCE, || {
            fs::read_to_string(&family).ok()?.is_empty().then_some(())
        })?;
        late.push(start.elapsed().saturating_sub(limit));
    }
    let samples: Samples = late.into_iter().collect();
    report.add(
        Row::new(
            "time limit to the end of 100 grandchildren",
            Figure::time(&samples),
        )
        .under(50.0),
    );
    Ok(())
}

/// From the end of the main process to the answer of a waiter.
pub(crate) fn endings(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Ours::start(place)?;
    let plain = "read x; echo $EPOCHREALTIME";
    let beside = "yes & read x; echo $EPOCHREALTIME >&2; exit 0";
    for (what, script, limit, count) in [
        ("end to the answer of a waiter", plain, 2.0, 500),
        ("the same beside one that writes", beside, 100.0, 50),
    ] {
        let (mut client, mut typist) = (ours.client()?, ours.client()?);
        let mut all = Vec::new();
        for _ in 0..options.samples(count) {
            let body =
                json!({"argv": ["bash", "-c", script], "stdin": "pipe", "stderr": "separate"});
            let id = client.begin(&body)?;
            let ended = thread::scope(|scope| {
                let typed = scope.spawn(|| -> Outcome<()> {
                    // The waiter waits by then, or is answered at once, which is no better.
                    crate::process::pause(Duration::from_millis(5));
                    typist.input(&id, "\n")
                });
                client.wait(&id)?;
                let at = since_1970();
                typed.join().map_err(|_| "the typist panicked")??;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(at)
            })?;
            let stream = if limit > 2.0 { "stderr" } else { "stdout" };
            let stamp: f64 = client.text(&id, stream)?.trim().parse()?;
            all.push(Duration::from_secs_f64((ended - stamp).max(0.0)));
            let _ = client.kill(&id);
        }
        let samples: Samples = all.into_iter().collect();
        report.add(Row::new(what, Figure::time(&samples)).under(limit));
    }
    Ok(())
}

/// From a program's print to the frame at an attached client.
pub(crate) fn latency(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Ours::start(place)?;
    let mut client = ours.client()?;
    let script = "while read x; do echo $EPOCHREALTIME; done";
    let id = client.begin(&json!({"argv": ["bash", "-c", script], "stdin": "pipe"}))?;
    let mut attached = ours.attach(&id)?;
    let mut all = Vec::new();
    for _ in 0..options.samples(1000) {
        client.input(&id, "\n")?;
        let bytes = attached.output()?;
        all.push(since_stamp(std::str::from_utf8(&bytes)?)?);
    }
    client.kill(&id)?;
    let samples: Samples = all.into_iter().collect();
    let high = samples.quantile(99).as_secs_f64() * 1e3;
    report.add(Row::new("byte to an attached client", Figure::time(&samples)).under(2.0));
    report.add(
        Row::new(
            "the same, slowest of a hundred",
            Figure::value(high, "ms", Better::Less),
        )
        .under(10.0),
    );
    Ok(())
}
