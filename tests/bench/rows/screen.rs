//! One daemon with a desktop of 1280×800: clicks, pictures, typing.

use std::time::{Duration, Instant};

use crate::{
    Outcome,
    cleanup::Place,
    daemon::Daemon,
    display::Display,
    options::Options,
    process::{program, timed},
    scene::{self, Terminals},
    stats::{Contender, alternate},
    table::{Figure, Limit, Report, Row},
};

use super::{batch, pictures, sandbox_agent::SandboxAgent, settle, typing};

/// Two places at the lower edge, where nothing but the root window takes the click.
pub(super) const SPOTS: [(i16, i16); 2] = [(300, 792), (900, 794)];

pub(super) fn measure(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let daemon = Daemon::start(place, "1280x800")?;
    let display = daemon.desktop()?;
    display.window_manager(Duration::from_secs(10))?;
    let _terminals = scene::terminals(place, &display)?;
    let agent = options.peers.then(|| Agent::start(place)).transpose()?;
    let stage = Stage {
        place,
        options,
        daemon: &daemon,
        display: &display,
        agent: agent.as_ref().map(|agent| &agent.agent),
    };
    let rows: [(&str, Measure); 8] = [
        ("click", click),
        ("batch", batch::measure),
        ("text", pictures::text),
        ("jpeg", pictures::jpeg),
        ("unchanged", pictures::unchanged),
        ("type", typing::measure),
        ("settle", settle::measure),
        ("photo", pictures::photo),
    ];
    for (row, measure) in rows {
        if options.wants(row) {
            measure(&stage, report)?;
        }
    }
    Ok(())
}

/// Measures one row on the stage.
type Measure = fn(&Stage<'_>, &mut Report) -> Outcome<()>;

/// What every row here works with.
pub(super) struct Stage<'a> {
    pub(super) place: &'a Place,
    pub(super) options: &'a Options,
    pub(super) daemon: &'a Daemon,
    pub(super) display: &'a Display,
    pub(super) agent: Option<&'a SandboxAgent>,
}

/// sandbox-agent with a desktop that looks like ours. The terminals go first, then their server.
struct Agent {
    _terminals: Terminals,
    agent: SandboxAgent,
}

impl Agent {
    fn start(place: &Place) -> Outcome<Self> {
        let agent = SandboxAgent::start(place)?;
        let display = agent.display()?;
        Ok(Self {
            _terminals: scene::terminals(place, &display)?,
            agent,
        })
    }
}

fn click(stage: &Stage<'_>, report: &mut Report) -> Outcome<()> {
    let (daemon, display) = (stage.daemon, stage.display);
    let (mut client, mut health_client) = (daemon.client()?, daemon.client()?);
    let clicks = SPOTS.map(|(x, y)| {
        let body = format!(r#"{{"action":"left_click","coordinate":[{x},{y}]}}"#);
        client.post("/api/v0/desktop/action", &body)
    });
    let health = health_client.get("/healthz");
    let (mut turn, mut floor_turn, mut peer_turn) = (0, 0, 0);
    let mut contenders = vec![
        Contender::new(|| {
            floor_turn += 1;
            let (x, y) = SPOTS[floor_turn % 2];
            let round_trip = health_client.expect(&health, 200)?.taken;
            let start = Instant::now();
            display.click(x, y)?;
            Ok(round_trip + start.elapsed())
        }),
        Contender::new(|| {
            turn += 1;
            Ok(client.expect(&clicks[turn % 2], 200)?.taken)
        }),
        Contender::every(20, || {
            peer_turn += 1;
            let (x, y) = SPOTS[peer_turn % 2];
            let mut command = program(stage.place, "xdotool");
            command.args(["mousemove", &x.to_string(), &y.to_string(), "click", "1"]);
            timed(display.dress(&mut command))
        }),
    ];
    if let Some(agent) = stage.agent {
        contenders.push(Contender::every(50, || agent.click(SPOTS[0].0, SPOTS[0].1)));
    }
    alternate(40, stage.options.samples(1000), &mut contenders)?;
    let mut figures = contenders.iter().map(|by| Figure::time(&by.samples));
    let mut next = || figures.next().expect("three contenders");
    let (floor, ours, xdotool) = (next(), next(), next());
    let row = Row::new("left_click", ours)
        .floor(floor, Limit::AtMost(2.0))
        .peer("xdotool", xdotool, Some(100.0));
    report.add(row.peers("sandbox-agent", figures.next(), 1.0));
    Ok(())
}
