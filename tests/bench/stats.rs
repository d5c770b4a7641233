//! Samples, their quantiles, and contenders who take turns.

use std::time::Duration;

use crate::Outcome;

/// How long something took, time after time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

impl Samples {
    /// The sample below which this part of them lies.
    pub(crate) fn quantile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let at = (sorted.len() * percent / 100).min(last);
        sorted.get(at).copied().unwrap_or_default()
    }
}

/// Someone who does the work of a row, measured by itself.
pub(crate) struct Contender<'a> {
    every: usize,
    run: Box<dyn FnMut() -> Outcome<Duration> + 'a>,
    /// What was measured so far.
    pub(crate) samples: Samples,
}

impl<'a> Contender<'a> {
    /// Takes part in every round.
    pub(crate) fn new(run: impl FnMut() -> Outcome<Duration> + 'a) -> Self {
        Self::every(1, run)
    }

    /// Takes part in every n-th round only, because it is slow.
    pub(crate) fn every(rounds: usize, run: impl FnMut() -> Outcome<Duration> + 'a) -> Self {
        Self {
            every: rounds,
            run: Box::new(run),
            samples: Samples::default(),
        }
    }
}

/// Lets all run in turn, so that a machine that gets slower gets slower for all. The order is turned around every other
/// round, so that nobody always comes after the same one. The first rounds are not counted.
pub(crate) fn alternate(
    warm_up: usize,
    rounds: usize,
    contenders: &mut [Contender<'_>],
) -> Outcome<()> {
    for round in 0..warm_up + rounds {
        let count = contenders.len();
        for turn in 0..count {
            let at = if round % 2 == 0 {
                turn
            } else {
                count - 1 - turn
            };
            let contender = &mut contenders[at];
            let counted = round.checked_sub(warm_up);
            // The slow ones warm up once, and then with the first round that counts.
            if counted.unwrap_or(round) % contender.every != 0 {
                continue;
            }
            let taken = (contender.run)()?;
            if counted.is_some() {
                contender.samples.0.push(taken);
            }
        }
    }
    Ok(())
}
