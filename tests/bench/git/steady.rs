//! What it costs while nothing happens, and while too much does.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    cleanup::Place,
    daemon::Ours,
    options::Options,
    process::{pause, processor_seconds},
    rows::repository,
    table::{Better, Figure, Report, Row},
};

/// Writes a second.
const RATE: u32 = 10_000;

/// How often it has scanned for those who watch.
fn scans(ours: &Ours) -> Outcome<f64> {
    let mut client = ours.client()?;
    let request = client.get("/metrics");
    let answer = client.expect(&request, 200)?;
    let text = String::from_utf8_lossy(answer.body).into_owned();
    let is_count = |line: &&str| line.starts_with("deskd_git_scan_seconds_count");
    let value = |line: &str| {
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok())
    };
    Ok(text.lines().filter(is_count).filter_map(value).sum())
}

/// Half a minute in which nothing happens: one poll.
pub(crate) fn idle(place: &Place, _options: &Options, report: &mut Report) -> Outcome<()> {
    let root = repository(place, (50_000, 100))?;
    let ours = Ours::start(place)?;
    let _watcher = ours.watch(&root)?;
    pause(Duration::from_secs(3));
    let (before, count) = (processor_seconds(ours.pid(), false), scans(&ours)?);
    pause(Duration::from_secs(30));
    let spent = (processor_seconds(ours.pid(), false) - before) * 1000.0;
    let count = scans(&ours)? - count;
    report.add(
        Row::new(
            "git: processor time of 30 s in which nothing happens, 50 000 files",
            Figure::value(spent, "ms", Better::Less).note(&format!("{count} scans")),
        )
        .under(400.0),
    );
    Ok(())
}

/// Ten thousand writes a second: how often it scans meanwhile, and how soon the last state is told.
pub(crate) fn storm(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let root = repository(place, (5000, 10))?;
    let ours = Ours::start(place)?;
    let mut watcher = ours.watch(&root)?;
    pause(Duration::from_secs(2));
    let seconds = u32::try_from(options.samples(60))?;
    let before = scans(&ours)?;
    let begun = Instant::now();
    let late = thread::scope(|scope| {
        let reader = scope.spawn(move || -> Outcome<Instant> {
            loop {
                let entry = watcher.entry()?;
                if entry["unified_diff"]
                    .as_str()
                    .is_some_and(|text| text.contains("+the last\n"))
                {
                    return Ok(Instant::now());
                }
            }
        });
        for number in 0..seconds * RATE {
            let file = number % 100;
            fs::write(
                root.join(format!(
                    "d1/e{}/file{}.txt",
                    file / 10,
                    1000 + file / 10 * 100 + file % 10
                )),
                format!("{number}\n"),
            )?;
            let due = Duration::from_secs(1) / RATE * number;
            if let Some(ahead) = due.checked_sub(begun.elapsed())
                && ahead > Duration::from_millis(2)
            {
                pause(ahead);
            }
        }
        fs::write(root.join("d2/e3/file2312.txt"), "the last\n")?;
        let last = Instant::now();
        let told = reader.join().map_err(|_| "the reader has ended")??;
        Outcome::Ok(told - last)
    })?;
    let lasted = begun.elapsed().as_secs_f64();
    // As many as the seconds between them, and the first.
    let rate = (scans(&ours)? - before - 1.0) / lasted;
    let wrote = f64::from(seconds * RATE) / lasted;
    report.add(
        Row::new(
            "git: scans a second under a storm of writes",
            Figure::value(rate, "1/s", Better::Less).note(&format!("{wrote:.0} writes a second")),
        )
        .under(1.0),
    );
    let late = late.as_secs_f64();
    report.add(
        Row::new(
            "git: from the last write of a storm to its message",
            Figure::value(late, "s", Better::Less),
        )
        .under(1.5),
    );
    Ok(())
}
