//! The daemon alone: size, memory, start, the cheapest request.

use std::fs;

use crate::{
    Outcome,
    cleanup::Place,
    daemon::Daemon,
    options::Options,
    process::resident,
    stats::{Contender, alternate},
    table::{Better, Figure, Report, Row},
};

pub(super) fn measure(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let size = u32::try_from(fs::metadata(place.daemon())?.len())?;
    let size = Figure::value(f64::from(size) / 1024.0 / 1024.0, "MiB", Better::Less);
    report.add(Row::new("binary, stripped of debug information", size).under(25.0));

    let mut starts = [Contender::new(|| {
        Ok(Daemon::start(place, "1280x800")?.started)
    })];
    alternate(2, options.samples(30), &mut starts)?;
    let started = Figure::time(&starts[0].samples);
    report.add(Row::new("exec to listening, ms", started).under(50.0));

    let daemon = Daemon::start(place, "1280x800")?;
    let mut client = daemon.client()?;
    let health = client.get("/healthz");
    let mut round_trips = [Contender::new(|| Ok(client.expect(&health, 200)?.taken))];
    alternate(100, options.samples(2000), &mut round_trips)?;
    let round_trip = Figure::time(&round_trips[0].samples);
    report.add(Row::new("GET /healthz, ms", round_trip).under(1.0));

    let memory = resident(daemon.pid())? / 1024.0;
    let memory = Figure::value(memory, "MiB", Better::Less);
    report.add(Row::new("resident memory, idle, no desktop", memory).under(15.0));
    Ok(())
}
