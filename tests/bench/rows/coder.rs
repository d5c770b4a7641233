//! The compatible screenshot action as Coder asks for it: 1920×1080 declared as 1280×720, PNG in base64 in JSON.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use fast_image_resize::Resizer;

use crate::{
    Outcome,
    cleanup::Place,
    daemon::Daemon,
    display::Lamp,
    grab::Grabber,
    options::Options,
    process::program,
    scene,
    stats::{Contender, alternate},
    table::{Figure, Limit, Report, Row},
};

pub(super) fn measure(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let daemon = Daemon::start(place, "1920x1080")?;
    let display = daemon.desktop()?;
    display.window_manager(Duration::from_secs(10))?;
    let _terminals = scene::terminals(place, &display)?;
    let lamp = Lamp::new(&display)?;
    let mut client = daemon.client()?;
    let body = r#"{"action":"screenshot","scaled_width":1280,"scaled_height":720}"#;
    let request = client.post("/api/v0/desktop/action", body);
    let mut grabber = Grabber::new(display.again()?)?;
    let mut resizer = Resizer::new();
    let (mut floor_bytes, mut bytes) = (0, 0);
    let mut contenders = [
        Contender::new(|| {
            lamp.change()?;
            let start = Instant::now();
            grabber.grab()?;
            floor_bytes = grabber.scaled(&mut resizer, 1280, 720)?.len();
            Ok(start.elapsed())
        }),
        Contender::new(|| {
            lamp.change()?;
            let answer = client.expect(&request, 200)?;
            bytes = answer.body.len();
            Ok(answer.taken)
        }),
        Contender::every(10, || {
            lamp.change()?;
            let mut command = program(place, "ffmpeg");
            command
                .args([
                    "-loglevel",
                    "error",
                    "-f",
                    "x11grab",
                    "-video_size",
                    "1920x1080",
                    "-i",
                ])
                .args([display.name(), "-frames:v", "1", "-vf", "scale=1280:720"])
                .args(["-f", "image2pipe", "-c:v", "png", "-"])
                .stdout(Stdio::piped());
            let start = Instant::now();
            let output = display.dress(&mut command).output()?;
            let text = STANDARD.encode(&output.stdout);
            let taken = start.elapsed();
            if !output.status.success() || text.is_empty() {
                return Err("ffmpeg gave no picture".into());
            }
            Ok(taken)
        }),
    ];
    alternate(20, options.samples(200), &mut contenders)?;
    let [floor, ours, ffmpeg] = contenders.map(|contender| Figure::time(&contender.samples));
    let kilobytes = |bytes: usize| format!("{} kB", bytes / 1000);
    report.add(
        Row::new(
            "screenshot action, 1920×1080 to 1280×720, PNG in JSON",
            ours.note(&kilobytes(bytes)),
        )
        .floor(floor.note(&kilobytes(floor_bytes)), Limit::AtMost(1.5))
        .peer("ffmpeg", ffmpeg, Some(12.0)),
    );
    Ok(())
}
