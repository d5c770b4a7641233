//! Our own connections to a running display: one for pictures, one for input, each with threads of its own, at once;
//! those for clipboard and windows with their first use.

use std::sync::Arc;

use super::{
    StartError,
    capture::Screen,
    clipboard::Clipboard,
    gate::Gate,
    input::{Action, Input, InputError, InputOptions, Outcome},
    launch::Context,
    readiness::apart,
    windows::Windows,
    x11::{self, Address, X11Source, XtestSink},
};

/// Our connections. Clones are the same ones; the last one dropped closes them.
#[derive(Clone, Debug)]
pub struct Attached {
    /// Pictures.
    pub screen: Screen,
    /// Input.
    pub input: Input,
    /// Clipboard.
    pub clipboard: Clipboard,
    /// Windows.
    pub windows: Windows,
    /// Where viewers' keys wait for texts; of the daemon, for viewers stay when connections are replaced.
    pub gate: Gate,
}

/// Connects to a display whose X server answers.
pub async fn attach(context: &Context, address: &Address) -> Result<Attached, StartError> {
    let (context, address) = (context.clone(), address.clone());
    let attached = apart("desk-attach", move || {
        let screen = Box::new(X11Source::open(&address).map_err(boxed)?);
        let (connection, number) = x11::connect(&address).map_err(boxed)?;
        let sink = XtestSink::new(connection, number).map_err(boxed)?;
        let sink = Box::new(sink.behind(context.gate.clone()));
        join(screen, sink, address, &context)
    });
    attached.await.map_err(boxed)?
}

/// Puts a source of pictures and a sink of input together: what input moves, pictures show.
pub fn join(
    source: Box<dyn super::capture::FrameSource>,
    sink: Box<dyn super::input::InputSink>,
    address: Address,
    context: &Context,
) -> Result<Attached, StartError> {
    let metrics = Arc::clone(&context.metrics);
    let screen = Screen::spawn(source, Arc::clone(&metrics)).map_err(boxed)?;
    let moved = screen.clone();
    let options = InputOptions {
        max_hold: context.config.max_hold,
        on_moved: Box::new(move || moved.invalidate()),
    };
    let input = Input::spawn(sink, options, metrics).map_err(boxed)?;
    Ok(Attached {
        screen,
        input,
        clipboard: Clipboard::new(address.clone()),
        windows: Windows::new(address),
        gate: context.gate.clone(),
    })
}

fn boxed(error: impl std::error::Error + Send + Sync + 'static) -> StartError {
    StartError::Attach(Box::new(error))
}

impl Attached {
    /// Performs one action; stillness counts from its end, however it ended.
    pub async fn perform(
        &self,
        action: Action,
        declared: (i64, i64),
    ) -> Result<Outcome, InputError> {
        let looks_only = matches!(action, Action::CursorPosition);
        let outcome = self.input.perform(action, declared).await;
        if !looks_only {
            self.screen.acted();
        }
        outcome
    }

    /// Resolves when one of them broke, with the reason. May be dropped and called again.
    pub async fn closed(&self) -> String {
        tokio::select! {
            error = self.screen.closed() => error.to_string(),
            error = self.input.closed() => error.to_string(),
        }
    }

    /// Releases what an earlier connection of ours left pressed.
    pub async fn release(&self) {
        if let Err(error) = self.input.reset().await {
            tracing::warn!(%error, "failed to release input after attaching");
        }
    }
}
