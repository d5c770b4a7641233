//! Pictures of a desktop of 1280×800. Before each one a small window changes its colour, so that none is a kept one.

use std::{
    cell::Cell,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use super::{sandbox_agent::SandboxAgent, screen::Stage};
use crate::{
    Outcome,
    display::Lamp,
    grab::Grabber,
    http::{Client, Request},
    process::{program, timed},
    scene,
    stats::{Contender, alternate},
    table::{Better, Figure, Limit, Report, Row},
};

/// Most bytes that one of them made.
#[derive(Default)]
struct Size(Cell<u32>);

impl Size {
    fn see(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.0.set(self.0.get().max(bytes));
    }

    fn kilobytes(&self) -> Figure {
        Figure::value(f64::from(self.0.get()) / 1000.0, "kB", Better::Less)
    }
}

/// A program that writes a picture to a file, each time the same way.
struct Peer<'a> {
    stage: &'a Stage<'a>,
    file: PathBuf,
    size: Size,
}

impl<'a> Peer<'a> {
    fn new(stage: &'a Stage<'a>, file: &str) -> Self {
        Self {
            stage,
            file: stage.place.path().join(file),
            size: Size::default(),
        }
    }

    fn shoot(&self, lamp: &Lamp<'_>, name: &str, arguments: &[&str]) -> Outcome<Duration> {
        lamp.change()?;
        let mut command: Command = program(self.stage.place, name);
        command.args(arguments).arg(&self.file);
        let taken = timed(self.stage.display.dress(&mut command))?;
        self.size
            .see(usize::try_from(fs::metadata(&self.file)?.len())?);
        Ok(taken)
    }

    fn figure(&self, contender: &Contender<'_>) -> Figure {
        timed_with(contender, &self.size)
    }
}

/// A shot of a screen that has just changed, over HTTP; that it is not an old one shows in its tag.
fn shoot(
    client: &mut Client,
    request: &Request,
    lamp: &Lamp<'_>,
    last: &mut Option<String>,
    size: &Size,
) -> Outcome<Duration> {
    lamp.change()?;
    let answer = client.expect(request, 200)?;
    if answer.etag.is_none() || answer.etag == *last {
        return Err(format!("the screen changed and the tag did not: {last:?}").into());
    }
    size.see(answer.body.len());
    let taken = answer.taken;
    *last = answer.etag;
    Ok(taken)
}

pub(super) fn text(stage: &Stage<'_>, report: &mut Report) -> Outcome<()> {
    let lamp = Lamp::new(stage.display)?;
    let mut client = stage.daemon.client()?;
    let mut grabber = Grabber::new(stage.display.again()?)?;
    let request = client.get("/api/v0/desktop/screenshot");
    let agent_size = Size::default();
    let (floor_size, size, mut last) = (Size::default(), Size::default(), None);
    let [scrot, import, ffmpeg] =
        ["scrot.png", "import.png", "ffmpeg.png"].map(|file| Peer::new(stage, file));
    let grab = [
        "-f",
        "x11grab",
        "-video_size",
        "1280x800",
        "-i",
        stage.display.name(),
    ];
    let grab = [
        &["-y", "-loglevel", "error"][..],
        &grab,
        &["-frames:v", "1"],
    ]
    .concat();
    let mut contenders = vec![
        Contender::new(|| floor_png(&mut grabber, &lamp, 2, &floor_size)),
        Contender::new(|| shoot(&mut client, &request, &lamp, &mut last, &size)),
        Contender::every(10, || scrot.shoot(&lamp, "scrot", &["-o"])),
        Contender::every(20, || import.shoot(&lamp, "import", &["-window", "root"])),
        Contender::every(20, || ffmpeg.shoot(&lamp, "ffmpeg", &grab)),
    ];
    if let Some(agent) = stage.agent {
        contenders.push(agent_contender(agent, "", &agent_size));
    }
    alternate(20, stage.options.samples(300), &mut contenders)?;
    let by_agent = contenders.get(5).map(|by| timed_with(by, &agent_size));
    let [by_floor, by_us, by_scrot, by_import, by_ffmpeg, ..] = contenders.as_slice() else {
        return Err("five contenders".into());
    };
    report.add(
        Row::new("PNG 1280×800, text", Figure::time(&by_us.samples))
            .floor(Figure::time(&by_floor.samples), Limit::AtMost(1.4))
            .peer("scrot", scrot.figure(by_scrot), Some(6.0))
            .peer("import", import.figure(by_import), None)
            .peer("ffmpeg", ffmpeg.figure(by_ffmpeg), None)
            .peers("sandbox-agent", by_agent, 1.0),
    );
    drop(contenders);
    report.add(
        Row::new("the same, its bytes", size.kilobytes())
            .floor(floor_size.kilobytes(), Limit::AtMost(1.0)),
    );
    kept(stage, report)
}

/// The same picture asked for again, with nothing changed and no tag named.
fn kept(stage: &Stage<'_>, report: &mut Report) -> Outcome<()> {
    let mut client = stage.daemon.client()?;
    let request = client.get("/api/v0/desktop/screenshot");
    let mut contenders = [Contender::new(|| Ok(client.expect(&request, 200)?.taken))];
    alternate(5, stage.options.samples(300), &mut contenders)?;
    let again = Figure::time(&contenders[0].samples);
    report.add(Row::new(
        "the same, screen unchanged, whole picture again",
        again,
    ));
    Ok(())
}

fn floor_png(grabber: &mut Grabber, lamp: &Lamp<'_>, level: u8, size: &Size) -> Outcome<Duration> {
    lamp.change()?;
    let start = Instant::now();
    grabber.grab()?;
    let png = grabber.png(level)?;
    let taken = start.elapsed();
    size.see(png.len());
    Ok(taken)
}

pub(super) fn photo(stage: &Stage<'_>, report: &mut Report) -> Outcome<()> {
    let own = stage.display.again()?;
    scene::photograph(&own)?;
    let lamp = Lamp::new(stage.display)?;
    let mut client = stage.daemon.client()?;
    let mut grabber = Grabber::new(stage.display.again()?)?;
    let request = client.get("/api/v0/desktop/screenshot");
    let (floor_size, size, mut last) = (Size::default(), Size::default(), None);
    let scrot = Peer::new(stage, "scrot.png");
    let mut contenders = [
        Contender::new(|| floor_png(&mut grabber, &lamp, 1, &floor_size)),
        Contender::new(|| shoot(&mut client, &request, &lamp, &mut last, &size)),
        Contender::every(5, || scrot.shoot(&lamp, "scrot", &["-o"])),
    ];
    alternate(5, stage.options.samples(100), &mut contenders)?;
    let [by_floor, by_us, by_scrot] = contenders;
    report.add(
        Row::new("PNG 1280×800, photo", Figure::time(&by_us.samples))
            .floor(Figure::time(&by_floor.samples), Limit::AtMost(1.4))
            .peer("scrot", scrot.figure(&by_scrot), Some(2.5)),
    );
    drop((by_floor, by_us));
    report.add(
        Row::new("the same, its bytes", size.kilobytes())
            .floor(floor_size.kilobytes(), Limit::AtMost(1.0)),
    );
    Ok(())
}

pub(super) fn jpeg(stage: &Stage<'_>, report: &mut Report) -> Outcome<()> {
    let lamp = Lamp::new(stage.display)?;
    let mut client = stage.daemon.client()?;
    let mut grabber = Grabber::new(stage.display.again()?)?;
    let request = client.get("/api/v0/desktop/screenshot?format=jpeg&quality=80");
    let agent_size = Size::default();
    let (floor_size, size, mut last) = (Size::default(), Size::default(), None);
    let [scrot, ffmpeg] = ["scrot.jpg", "ffmpeg.jpg"].map(|file| Peer::new(stage, file));
    let grab = [
        "-f",
        "x11grab",
        "-video_size",
        "1280x800",
        "-i",
        stage.display.name(),
    ];
    let grab = [
        &["-y", "-loglevel", "error"][..],
        &grab,
        &["-frames:v", "1"],
    ]
    .concat();
    let mut contenders = vec![
        Contender::new(|| {
            lamp.change()?;
            let start = Instant::now();
            grabber.grab()?;
            let jpeg = grabber.jpeg(80)?;
            let taken = start.elapsed();
            floor_size.see(jpeg.len());
            Ok(taken)
        }),
        Contender::new(|| shoot(&mut client, &request, &lamp, &mut last, &size)),
        Contender::every(10, || scrot.shoot(&lamp, "scrot", &["-o", "-q", "80"])),
        Contender::every(20, || ffmpeg.shoot(&lamp, "ffmpeg", &grab)),
    ];
    if let Some(agent) = stage.agent {
        contenders.push(agent_contender(
            agent,
            "?format=jpeg&quality=80",
            &agent_size,
        ));
    }
    alternate(20, stage.options.samples(200), &mut contenders)?;
    let by_agent = contenders.get(4).map(|by| timed_with(by, &agent_size));
    let [by_floor, by_us, by_scrot, by_ffmpeg, ..] = contenders.as_slice() else {
        return Err("four contenders".into());
    };
    let ours = timed_with(by_us, &size);
    let floor = timed_with(by_floor, &floor_size);
    report.add(
        Row::new("JPEG q80 1280×800, text", ours)
            .floor(floor, Limit::AtMost(1.2))
            .peer("scrot", scrot.figure(by_scrot), None)
            .peer("ffmpeg", ffmpeg.figure(by_ffmpeg), Some(1.3))
            .peers("sandbox-agent", by_agent, 1.3),
    );
    Ok(())
}

/// sandbox-agent takes a picture of its own desktop.
fn agent_contender<'a>(
    agent: &'a SandboxAgent,
    query: &'static str,
    size: &'a Size,
) -> Contender<'a> {
    Contender::every(20, move || {
        let (taken, bytes) = agent.picture(query)?;
        size.see(bytes);
        Ok(taken)
    })
}

fn timed_with(contender: &Contender<'_>, size: &Size) -> Figure {
    let kilobytes = size.0.get() / 1000;
    Figure::time(&contender.samples).note(&format!("{kilobytes} kB"))
}

pub(super) fn unchanged(stage: &Stage<'_>, report: &mut Report) -> Outcome<()> {
    stage.display.quiet(Duration::from_millis(300))?;
    let (mut client, mut health_client) = (stage.daemon.client()?, stage.daemon.client()?);
    let first = client.get("/api/v0/desktop/screenshot");
    let etag = client.expect(&first, 200)?.etag.ok_or("no tag")?;
    let named = [("If-None-Match", etag.as_str())];
    let request = client.request("GET", "/api/v0/desktop/screenshot", &named, "");
    let health = health_client.get("/healthz");
    let mut contenders = [
        Contender::new(|| Ok(health_client.expect(&health, 200)?.taken)),
        Contender::new(|| Ok(client.expect(&request, 304)?.taken)),
    ];
    alternate(50, stage.options.samples(2000), &mut contenders)?;
    let [floor, ours] = contenders.map(|contender| Figure::time(&contender.samples));
    report.add(Row::new("unchanged (If-None-Match, 304)", ours).floor(floor, Limit::AtMost(1.5)));
    Ok(())
}
