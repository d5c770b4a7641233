//! Ten clicks in one call, beside ten calls.

use std::time::{Duration, Instant};

use super::screen::{SPOTS, Stage};
use crate::{
    Outcome,
    process::{program, timed},
    stats::{Contender, alternate},
    table::{Figure, Limit, Report, Row},
};

/// Clicks of one batch.
const CLICKS: usize = 10;

pub(super) fn measure(stage: &Stage<'_>, report: &mut Report) -> Outcome<()> {
    let (daemon, display) = (stage.daemon, stage.display);
    let (mut client, mut health_client) = (daemon.client()?, daemon.client()?);
    let mut single_client = daemon.client()?;
    let spots: Vec<(i16, i16)> = SPOTS.into_iter().cycle().take(CLICKS).collect();
    let action =
        |(x, y): &(i16, i16)| serde_json::json!({"action": "left_click", "coordinate": [x, y]});
    let actions: Vec<_> = spots.iter().map(action).collect();
    let body = serde_json::json!({ "actions": actions }).to_string();
    let batch = client.post("/api/v0/desktop/actions", &body);
    let single = |action: &serde_json::Value| {
        single_client.post("/api/v0/desktop/action", &action.to_string())
    };
    let singles: Vec<_> = actions.iter().map(single).collect();
    let health = health_client.get("/healthz");
    let mut contenders = [
        Contender::new(|| {
            let round_trip = health_client.expect(&health, 200)?.taken;
            let start = Instant::now();
            for (x, y) in &spots {
                display.click(*x, *y)?;
            }
            Ok(round_trip + start.elapsed())
        }),
        Contender::new(|| Ok(client.expect(&batch, 200)?.taken)),
        Contender::new(|| {
            let mut taken = Duration::ZERO;
            for single in &singles {
                taken += single_client.expect(single, 200)?.taken;
            }
            Ok(taken)
        }),
        Contender::every(20, || {
            let mut command = program(stage.place, "xdotool");
            for (x, y) in &spots {
                command.args(["mousemove", &x.to_string(), &y.to_string(), "click", "1"]);
            }
            timed(display.dress(&mut command))
        }),
    ];
    alternate(20, stage.options.samples(400), &mut contenders)?;
    let mut figures = contenders.iter().map(|by| Figure::time(&by.samples));
    let mut next = || figures.next().expect("four contenders");
    let (floor, ours, singles, xdotool) = (next(), next(), next(), next());
    report.add(
        Row::new("batch of ten clicks", ours)
            .floor(floor, Limit::AtMost(2.0))
            .peer("ten calls of ours", singles, Some(1.0))
            .peer("xdotool, one call", xdotool, Some(100.0)),
    );
    Ok(())
}
