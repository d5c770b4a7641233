//! A click on a window that redraws for a while, and a picture as soon as it has come to rest, in one call.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use super::screen::Stage;
use crate::{
    Outcome,
    scene::Restless,
    stats::{Contender, Samples, alternate},
    table::{Better, Figure, Limit, Report, Row},
};

/// How long the window redraws after a click.
const BUSY: Duration = Duration::from_millis(300);

/// Quiet time that the picture waits for, in milliseconds.
const QUIET: u64 = 100;

/// What may come on top of the last redraw and the quiet time.
const MOST: Duration = Duration::from_millis(50);

pub(super) fn measure(stage: &Stage<'_>, report: &mut Report) -> Outcome<()> {
    let window = Restless::open(stage.display, BUSY)?;
    let mut client = stage.daemon.client()?;
    let (x, y) = Restless::middle();
    let body = serde_json::json!({
        "actions": [{"action": "left_click", "coordinate": [x, y]}],
        "settle": {"quiet_ms": QUIET},
        "screenshot": true,
    });
    let call = client.post("/api/v0/desktop/actions", &body.to_string());
    // The floor and what came on top, of each round.
    let rounds = RefCell::new(Vec::new());
    let mut contenders = [Contender::new(|| {
        let start = Instant::now();
        client.expect(&call, 200)?;
        let end = Instant::now();
        let rest = window.last_redraw()? + Duration::from_millis(QUIET);
        let over = end.checked_duration_since(rest);
        let early = || {
            format!(
                "the picture came {:?} before the quiet time was over",
                rest - end
            )
        };
        let over = over.ok_or_else(early)?;
        rounds.borrow_mut().push((rest - start, over));
        Ok(end - start)
    })];
    let (warm_up, count) = (2, stage.options.samples(50));
    alternate(warm_up, count, &mut contenders)?;
    let ours = Figure::time(&contenders[0].samples);
    drop(contenders);
    let rounds = rounds.into_inner().split_off(warm_up);
    let floor: Samples = rounds.iter().map(|round| round.0).collect();
    let over: Samples = rounds.iter().map(|round| round.1).collect();
    let within = rounds.iter().filter(|round| round.1 <= MOST).count();
    report.add(Row::new("click, settle, picture in one call", ours).beside(Figure::time(&floor)));
    let after = "the same, after the last redraw and the quiet time";
    report.add(Row::new(after, Figure::time(&over)).under(50.0));
    let rounds = |number: usize| -> Outcome<Figure> {
        let number = f64::from(u32::try_from(number)?);
        Ok(Figure::value(number, "rounds", Better::More))
    };
    let name = format!("the same, within {} ms", MOST.as_millis());
    report.add(Row::new(&name, rounds(within)?).floor(rounds(count)?, Limit::AtLeast(1.0)));
    Ok(())
}
