//! From nothing to a desktop, and from nothing to a first picture.

use std::time::Instant;

use super::{bare, sandbox_agent::SandboxAgent};
use crate::{
    Outcome,
    cleanup::Place,
    daemon::Daemon,
    grab::Grabber,
    options::Options,
    stats::{Contender, alternate},
    table::{Figure, Limit, Report, Row},
};

pub(super) fn measure(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    if options.wants("start") {
        up(place, options, report)?;
    }
    if options.wants("first") {
        first_picture(place, options, report)?;
    }
    Ok(())
}

fn up(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let daemon = Daemon::start(place, "1280x800")?;
    let mut client = daemon.client()?;
    let [start, stop] =
        ["start", "stop"].map(|verb| client.post(&format!("/api/v0/desktop/{verb}"), ""));
    let agent = agent(place, options)?;
    let mut contenders = vec![
        Contender::new(|| Ok(bare::start(place)?.taken)),
        Contender::new(|| {
            client.expect(&stop, 200)?;
            Ok(client.expect(&start, 200)?.taken)
        }),
    ];
    if let Some(agent) = &agent {
        contenders.push(Contender::every(3, || {
            agent.stop()?;
            Ok(agent.desktop()?.0)
        }));
    }
    alternate(2, options.samples(30), &mut contenders)?;
    let figures: Vec<_> = contenders
        .iter()
        .map(|by| Figure::time(&by.samples))
        .collect();
    report.add(
        Row::new("X server and window manager up", figures[1].clone())
            .floor(figures[0].clone(), Limit::AtMost(1.5))
            .peers("sandbox-agent", figures.get(2).cloned(), 1.0),
    );
    Ok(())
}

fn first_picture(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let agent = agent(place, options)?;
    let mut contenders = vec![
        Contender::new(|| {
            let begin = Instant::now();
            let desktop = bare::start(place)?;
            let mut grabber = Grabber::new(desktop.display.again()?)?;
            grabber.grab()?;
            grabber.png(2)?;
            Ok(begin.elapsed())
        }),
        Contender::new(|| {
            let daemon = Daemon::start(place, "1280x800")?;
            let mut client = daemon.client()?;
            let picture = client.get("/api/v0/desktop/screenshot");
            Ok(client.expect(&picture, 200)?.taken)
        }),
    ];
    if let Some(agent) = &agent {
        contenders.push(Contender::every(3, || {
            agent.stop()?;
            agent.first_picture()
        }));
    }
    alternate(2, options.samples(30), &mut contenders)?;
    let figures: Vec<_> = contenders
        .iter()
        .map(|by| Figure::time(&by.samples))
        .collect();
    report.add(
        Row::new("first use to first picture, cold", figures[1].clone())
            .floor(figures[0].clone(), Limit::AtMost(1.3))
            .peers("sandbox-agent", figures.get(2).cloned(), 5.0),
    );
    Ok(())
}

fn agent(place: &Place, options: &Options) -> Outcome<Option<SandboxAgent>> {
    options
        .peers
        .then(|| SandboxAgent::start(place))
        .transpose()
}
