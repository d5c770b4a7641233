//! Two hundred ASCII characters into a terminal that writes down what it got.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use super::screen::Stage;
use crate::{
    Outcome,
    process::{program, timed},
    scene::Recorder,
    stats::{Contender, alternate},
    table::{Figure, Limit, Report, Row},
};

/// Runs, and runs that were exactly right.
#[derive(Default)]
struct Exact(Cell<(u32, u32)>);

impl Exact {
    fn note(&self) -> String {
        let (right, all) = self.0.get();
        format!("{right} of {all} exact")
    }
}

/// Typed before the text, not timed.
const FIRST: &str = "first";

/// Two hundred characters, every printable one of them.
fn text() -> String {
    (' '..='~').cycle().take(200).collect()
}

pub(super) fn measure(stage: &Stage<'_>, report: &mut Report) -> Outcome<()> {
    let text = text();
    let display = stage.display;
    let recorder = Recorder::start(stage.place, display)?;
    let mut client = stage.daemon.client()?;
    let body = serde_json::json!({"action": "type", "text": text}).to_string();
    let request = client.post("/api/v0/desktop/action", &body);
    let first = serde_json::json!({"action": "type", "text": FIRST}).to_string();
    let first = client.post("/api/v0/desktop/action", &first);
    let (keys, shift) = (display.keys(&text)?, display.shift()?);
    let exact: [Exact; 4] = std::array::from_fn(|_| Exact::default());

    let run = |exact: &Exact, work: &mut dyn FnMut() -> Outcome<Duration>| {
        recorder.take_keyboard(display)?;
        let start = recorder.length();
        let taken = work()?;
        let right = recorder.holds(start, &text)?;
        let (before, all) = exact.0.get();
        exact.0.set((before + u32::from(right), all + 1));
        Ok(taken)
    };
    let xdotool = |delay: &str| {
        let mut command = program(stage.place, "xdotool");
        command.args(["type", "--delay", delay, "--", &text]);
        timed(display.dress(&mut command))
    };
    let mut contenders = [
        Contender::new(|| {
            run(&exact[0], &mut || {
                let start = Instant::now();
                display.type_keys(&keys, shift)?;
                Ok(start.elapsed())
            })
        }),
        Contender::new(|| {
            // A text waits until nobody else types: the turn before was somebody else's, and that is not counted.
            recorder.take_keyboard(display)?;
            let start = recorder.length();
            client.expect(&first, 200)?;
            recorder.holds(start, FIRST)?;
            run(&exact[1], &mut || Ok(client.expect(&request, 200)?.taken))
        }),
        Contender::every(4, || run(&exact[2], &mut || xdotool("1"))),
        Contender::every(20, || run(&exact[3], &mut || xdotool("12"))),
    ];
    alternate(2, stage.options.samples(100), &mut contenders)?;
    let mut figures = contenders
        .iter()
        .zip(&exact)
        .map(|(contender, exact)| Figure::time(&contender.samples).note(&exact.note()));
    let mut next = || figures.next().expect("four contenders");
    let (floor, ours, quick, slow) = (next(), next(), next(), next());
    let (right, all) = exact[1].0.get();
    report.add(
        Row::new("200 ASCII characters", ours)
            .floor(floor, Limit::AtMost(3.0))
            .peer("xdotool --delay 1", quick, Some(2.0))
            .peer("xdotool --delay 12", slow, None),
    );
    if right != all {
        return Err(format!("{} of {all} texts did not arrive exactly", all - right).into());
    }
    Ok(())
}
