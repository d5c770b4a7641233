//! Runs a batch on whatever desktop there is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Batch, BatchError, BatchReport, Deed, DeedError, DeedReport, Effect, OnError, PASTE_LIMIT,
};
use crate::desktop::{
    Desktop, Running,
    capture::CaptureError,
    geometry::Frame,
    input::{Action, InputError, Performed, Unit},
    keys,
    picture::{Answer, Picture, PictureRequest},
    settle::{Rest, Settled},
};

impl Desktop {
    /// Runs a batch. Dropping the future calls it off: what it pressed is released, the rest is not done.
    ///
    /// # Errors
    /// Nothing of it was done; what fails later is told deed by deed.
    pub async fn run_batch(&self, batch: &Batch) -> Result<BatchReport, BatchError> {
        let mut running = self.running().await?;
        let mut frame = check(batch, &running).await?;
        let mut unit = None;
        if batch.deeds.iter().any(Deed::is_input) {
            unit = Some(match running.attached.input.unit().await {
                Err(InputError::Stopped) => {
                    running = self.successor(&running).await?;
                    frame = check(batch, &running).await?;
                    running.attached.input.unit().await?
                }
                unit => unit?,
            });
        }
        let mut run = Run {
            running,
            frame,
            unit,
        };
        let results = run.deeds(batch).await;
        let settled = match &batch.settle {
            Some(rest) => Some(run.settle(batch, rest).await),
            None => None,
        };
        let picture = match &batch.picture {
            Some(request) => Some(run.picture(batch.in_frame(request.clone())).await),
            None => None,
        };
        Ok(BatchReport {
            frame,
            results,
            settled,
            picture,
        })
    }
}

async fn check(batch: &Batch, running: &Running) -> Result<Frame, BatchError> {
    batch.check(running.attached.screen.native_size().await?)
}

/// A batch under way.
struct Run {
    running: Arc<Running>,
    frame: Frame,
    unit: Option<Unit>,
}

impl Run {
    /// One report a deed; the unit of input ends with the last one.
    async fn deeds(&mut self, batch: &Batch) -> Vec<DeedReport> {
        let mut reports: Vec<DeedReport> = Vec::with_capacity(batch.deeds.len());
        let mut failed = false;
        while let Some(deed) = batch.deeds.get(reports.len()) {
            let begin = reports.len();
            if failed && batch.on_error == OnError::Stop {
                reports.push(DeedReport {
                    result: Err(DeedError::NotRun),
                    elapsed: Duration::ZERO,
                });
            } else if let Deed::Input(_) = deed {
                reports.extend(self.inputs(batch, begin).await);
            } else {
                reports.push(self.deed(batch, deed).await);
            }
            failed |= reports[begin..].iter().any(|report| report.result.is_err());
        }
        if let Some(unit) = self.unit.take() {
            // A unit that is called off, or whose display is gone, has released everything.
            let _ = if failed {
                unit.abandon().await
            } else {
                unit.end().await
            };
        }
        // Stillness counts from here, also for who asks later.
        if batch.deeds.iter().any(Deed::is_input) {
            self.running.attached.screen.acted();
        }
        reports
    }

    /// Input from one deed on, as far as nothing else comes between: one order to the input thread. At least one report.
    async fn inputs(&mut self, batch: &Batch, begin: usize) -> Vec<DeedReport> {
        let actions = batch.deeds[begin..].iter().map_while(Deed::action);
        let actions = actions.cloned().collect();
        let size = self.frame.declared();
        let declared = (i64::from(size.width), i64::from(size.height));
        let go_on = batch.on_error == OnError::Continue;
        let unit = self.unit.as_mut().expect("taken when there is input");
        let done = unit.perform_all(actions, declared, go_on).await;
        let report = |performed: Performed| DeedReport {
            result: performed.result.map(Effect::Input).map_err(DeedError::from),
            elapsed: performed.elapsed,
        };
        done.into_iter().map(report).collect()
    }

    /// One that is not input alone.
    async fn deed(&mut self, batch: &Batch, deed: &Deed) -> DeedReport {
        let begin = Instant::now();
        let result = self.effect(batch, deed).await;
        let elapsed = begin.elapsed();
        DeedReport { result, elapsed }
    }

    async fn effect(&mut self, batch: &Batch, deed: &Deed) -> Result<Effect, DeedError> {
        match deed {
            Deed::Input(_) => unreachable!("goes to the input thread with its neighbours"),
            Deed::Picture(request) => {
                if let Some(unit) = &self.unit {
                    unit.check()?;
                }
                let picture = self.picture(batch.in_frame(request.clone())).await?;
                Ok(Effect::Picture(picture))
            }
            Deed::Paste(text) => self.paste(text).await,
            Deed::Focus(window) => {
                self.unit()?.check()?;
                self.running.attached.windows.focus(*window).await?;
                Ok(Effect::Focused)
            }
        }
    }

    /// The unit of input that every deed but a picture needs.
    fn unit(&mut self) -> Result<&mut Unit, InputError> {
        self.unit.as_mut().ok_or(InputError::Stopped)
    }

    /// What was in the clipboard comes back, also when this fails or is dropped.
    async fn paste(&mut self, text: &str) -> Result<Effect, DeedError> {
        self.unit()?.check()?;
        let mut loan = self
            .running
            .attached
            .clipboard
            .lend(text.to_owned())
            .await?;
        let keys = Action::Key(keys::parse("ctrl+v").expect("names of keys"));
        self.unit()?.perform(keys, (0, 0)).await?;
        let taken = loan.taken(PASTE_LIMIT).await;
        loan.give_back().await?;
        if !taken {
            return Err(DeedError::NotPasted);
        }
        Ok(Effect::Pasted(text.chars().count()))
    }

    /// After input only what happens from now on counts: programs have not had the time to react.
    async fn settle(&self, batch: &Batch, rest: &Rest) -> Result<Settled, CaptureError> {
        let since = batch.deeds.iter().any(Deed::is_input).then(Instant::now);
        let settle = rest.on(self.frame).expect("checked before anything began");
        self.running.attached.screen.settle(settle, since).await
    }

    async fn picture(&self, request: PictureRequest) -> Result<Arc<Picture>, CaptureError> {
        match self.running.attached.screen.picture(request).await? {
            Answer::Picture(picture) => Ok(picture),
            Answer::Unchanged { .. } => unreachable!("nothing was named to compare with"),
        }
    }
}
