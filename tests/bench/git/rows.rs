//! The rows: a whole scan, one change, how soon it is told, many who watch, memory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    cleanup::Place,
    daemon::{Ours, Watcher},
    options::Options,
    process::{pause, processor_seconds, program, resident, timed},
    stats::{Contender, Samples, alternate},
    steady,
    suite::Measure,
    table::{Better, Figure, Limit, Report, Row},
};

/// All of them, in the order of the table.
pub(crate) const ROWS: &[(&str, Measure)] = &[
    ("snapshot of 50 000 files", snapshot),
    ("after one change", one_change),
    ("change to message", latency),
    ("1000 watchers", watchers),
    ("memory of a scan", memory),
    ("idle", steady::idle),
    ("storm", steady::storm),
];

/// Files of the large repository, and how many of them have changed.
const LARGE: (usize, usize) = (50_000, 100);
/// Watchers.
const MANY: usize = 1000;

/// A repository with files in directories of 100, some of them changed, and as many new ones as a tenth of that.
pub(crate) fn repository(place: &Place, (files, changed): (usize, usize)) -> Outcome<PathBuf> {
    let root = place.folder("repository-")?.join("work");
    let path = |number: usize| {
        root.join(format!(
            "d{}/e{}/file{number}.txt",
            number / 1000,
            number / 100 % 10
        ))
    };
    for number in 0..files {
        let path = path(number);
        fs::create_dir_all(path.parent().ok_or("below the root")?)?;
        fs::write(
            path,
            format!("line one of {number}\nline two\nline three\n").repeat(10),
        )?;
    }
    git(place, &root, &["init", "-q"])?;
    git(place, &root, &["add", "-A"])?;
    git(
        place,
        &root,
        // Its own packing in the background would be in the way of ours.
        &[
            "-c",
            "gc.auto=0",
            "-c",
            "user.name=b",
            "-c",
            "user.email=b@example.com",
            "commit",
            "-qm",
            "x",
        ],
    )?;
    git(place, &root, &["gc", "-q"])?;
    for number in (0..files)
        .step_by((files / changed.max(1)).max(1))
        .take(changed)
    {
        fs::write(
            path(number),
            format!("changed {number}\nline two\n").repeat(10),
        )?;
    }
    for number in 0..changed / 10 {
        fs::write(root.join(format!("new{number}")), "new\n".repeat(10))?;
    }
    git(place, &root, &["status"])?;
    Ok(root)
}

fn git(place: &Place, root: &Path, arguments: &[&str]) -> Outcome<Duration> {
    let mut command = program(place, "git");
    command
        .args(arguments)
        .current_dir(root)
        .stdout(Stdio::null())
        .env("GIT_OPTIONAL_LOCKS", "0");
    timed(&mut command)
}

/// Both programs, one after the other.
fn both(place: &Place, root: &Path) -> Outcome<Duration> {
    let status = git(place, root, &["status", "--porcelain=v2", "-z"])?;
    Ok(status + git(place, root, &["diff", "HEAD"])?)
}

fn snapshot(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let root = repository(place, LARGE)?;
    let ours = Ours::start(place)?;
    let mut client = ours.client()?;
    let request = client.get(&format!("/api/v0/git/diff?path={}", root.display()));
    let mut contenders = [
        Contender::new(|| both(place, &root)),
        Contender::new(|| {
            let start = Instant::now();
            client.expect(&request, 200)?;
            Ok(start.elapsed())
        }),
    ];
    alternate(2, options.samples(20), &mut contenders)?;
    let [floor, ours] = contenders.map(|contender| Figure::time(&contender.samples));
    report.add(
        Row::new(
            "git: status and diff of 50 000 files, 100 changed; beside git status + git diff",
            ours,
        )
        .floor(floor, Limit::AtMost(1.2)),
    );
    Ok(())
}

fn one_change(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let root = repository(place, LARGE)?;
    let ours = Ours::start(place)?;
    let mut watcher = ours.watch(&root)?;
    let (mut floor, mut scans) = (Vec::new(), Vec::new());
    for number in 0..options.samples(20) {
        pause(Duration::from_millis(1200));
        fs::write(root.join("d7/e3/file7312.txt"), format!("{number}\n"))?;
        let took = watcher.entry()?["scan_ms"].as_f64().ok_or("no duration")?;
        scans.push(Duration::from_secs_f64(took / 1000.0));
        floor.push(both(place, &root)?);
    }
    let figure = |all: Vec<Duration>| Figure::time(&all.into_iter().collect::<Samples>());
    report.add(
        Row::new(
            "git: scan after one notified change of 50 000 files; beside git status + git diff",
            figure(scans),
        )
        .floor(figure(floor), Limit::AtMost(0.1)),
    );
    Ok(())
}

fn latency(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let root = repository(place, (5000, 10))?;
    let ours = Ours::start(place)?;
    let mut watcher = ours.watch(&root)?;
    let mut samples = Vec::new();
    // A scan may begin a second after the last one; beside the poll, changes come at all times.
    for number in 0..options.samples(100) {
        pause(Duration::from_millis(
            1100 + u64::try_from(number)? * 617 % 1800,
        ));
        let start = Instant::now();
        fs::write(root.join("d2/e3/file2312.txt"), format!("{number}\n"))?;
        watcher.entry()?;
        samples.push(start.elapsed());
    }
    let samples: Samples = samples.into_iter().collect();
    let [half, high, most] =
        [50, 95, 100].map(|percent| samples.quantile(percent).as_secs_f64() * 1000.0);
    report.add(
        Row::new(
            "git: change on disk to message, 5000 files, p95",
            Figure::value(high, "ms", Better::Less)
                .note(&format!("p50 {half:.0}, the longest {most:.0}")),
        )
        .under(300.0),
    );
    Ok(())
}

fn watchers(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let root = repository(place, (5000, 10))?;
    let ours = Ours::start(place)?;
    let mut first = ours.watch(&root)?;
    let mut rounds = |all: &mut [Watcher]| -> Outcome<f64> {
        let mut spent = 0.0;
        let count = options.samples(20);
        for number in 0..count {
            pause(Duration::from_millis(1200));
            let before = processor_seconds(ours.pid(), false);
            fs::write(
                root.join("d2/e3/file2312.txt"),
                format!("{number} {}\n", all.len()),
            )?;
            first.entry()?;
            for watcher in all.iter_mut() {
                watcher.entry()?;
            }
            spent += processor_seconds(ours.pid(), false) - before;
        }
        Ok(spent / f64::from(u32::try_from(count)?))
    };
    let alone = rounds(&mut [])?;
    let before = resident(ours.pid())?;
    let mut all = Vec::new();
    for _ in 0..MANY {
        all.push(ours.watch(&root)?);
    }
    let many = f64::from(u32::try_from(MANY)?);
    let each = (resident(ours.pid())? - before) / many;
    let spent = (rounds(&mut all)? - alone).max(0.0) * 1e6 / many;
    report.add(
        Row::new(
            "git: processor time for each of 1000 watchers and message",
            Figure::value(spent, "µs", Better::Less),
        )
        .under(20.0),
    );
    report.add(
        Row::new(
            "git: memory for each of 1000 watchers",
            Figure::value(each, "KiB", Better::Less),
        )
        .under(64.0),
    );
    Ok(())
}

fn memory(place: &Place, _options: &Options, report: &mut Report) -> Outcome<()> {
    let root = repository(place, LARGE)?;
    let ours = Ours::start(place)?;
    let mut client = ours.client()?;
    client.expect(&client.get("/api/v0/git/repos"), 200)?;
    let before = resident(ours.pid())?;
    client.expect(
        &client.get(&format!("/api/v0/git/diff?path={}", root.display())),
        200,
    )?;
    let peak = (peak(ours.pid())? - before) / 1024.0;
    pause(Duration::from_secs(1));
    let kept = (resident(ours.pid())? - before) / 1024.0;
    report.add(
        Row::new(
            "git: memory of a scan of 50 000 files above idle",
            Figure::value(peak, "MiB", Better::Less).note(&format!("{kept:.1} MiB kept")),
        )
        .under(64.0),
    );
    Ok(())
}

/// The most that was resident at a time, in KiB.
fn peak(pid: u32) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmHWM")?
        .parse()?;
    Ok(kib)
}
