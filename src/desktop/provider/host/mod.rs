//! The provider `host`: a desktop that is there already. Nothing is started and nothing is ended; only our own
//! connections come and go.
//!
//! Pictures come from `xcap`, and `enigo` moves the pointer and presses buttons and keys. Both are in the cargo feature
//! `host`, because `xcap` drags in pipewire, wayland and gbm. Without the feature every start fails with
//! [`StartError::NoHostSupport`].
//!
//! An X display must be there, as it is in a Wayland session with Xwayland: it says where the pointer is, which key
//! enters what, what is held, and, by its end, that the desktop is gone.

#[cfg(feature = "host")]
mod input;
#[cfg(feature = "host")]
mod screen;

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Config, Place, RfbAddress, StartError};
use crate::desktop::{attach::Attached, authority, command, launch::Context, x11::Address};

/// Whether this build can drive a desktop that is not ours.
pub const SUPPORTED: bool = cfg!(feature = "host");

/// Points the environment of this process at the configured display, because xcap reads it from there alone, and takes
/// the way of Wayland if anything in it says so. To be called before the first thread is started.
///
/// # Errors
/// There are threads already.
#[cfg(feature = "host")]
pub fn prepare(config: &Config) -> std::io::Result<()> {
    let ours = matches!(config.provider, None | Some(super::Provider::Host));
    match &config.host_display {
        Some(display) if ours => crate::sys::environment::set(&[
            ("DISPLAY", Some(display)),
            ("WAYLAND_DISPLAY", None),
            ("XDG_SESSION_TYPE", Some("x11")),
        ]),
        _ => Ok(()),
    }
}

/// Where the desktop is: the configured display, or the one of the daemon's own environment. `session` marks programs
/// that are started on it.
pub fn place(config: &Config, session: &str) -> Result<Place, StartError> {
    let display = config
        .host_display
        .clone()
        .or_else(|| variable(config, "DISPLAY"))
        .ok_or(StartError::NoDisplay)?;
    let xauthority = xauthority(config);
    let cookie = xauthority
        .as_ref()
        .and_then(|path| fs::read(path).ok())
        .and_then(|file| authority::find(&file, number(&display)));
    let base = command::base_environment(&config.base_env, session);
    Ok(Place {
        environment: command::desktop_environment(&base, &display, xauthority.as_deref(), None),
        address: Address { display, cookie },
        xauthority,
        rfb: config.host_vnc.map(RfbAddress::Tcp),
    })
}

/// Connects to the desktop: the display answers, the RFB server greets if there is one, a picture can be taken.
#[cfg(feature = "host")]
pub async fn attach(context: &Context, place: &Place) -> Result<Attached, StartError> {
    use crate::desktop::{attach, error::Step, readiness};

    let limits = context.config.limits;
    readiness::answers(&place.address, limits.connection).await?;
    if let Some(rfb) = &place.rfb {
        readiness::greets(rfb, limits.rfb).await?;
    }
    let (context, address) = (context.clone(), place.address.clone());
    let opened = readiness::apart("desk-attach", move || {
        let source = screen::XcapSource::open().map_err(boxed)?;
        let sink = input::EnigoSink::open(&address, context.gate.clone()).map_err(boxed)?;
        attach::join(Box::new(source), Box::new(sink), address, &context)
    });
    let limit = limits.connection;
    match tokio::time::timeout(limit, opened).await {
        Ok(attached) => attached.map_err(boxed)?,
        Err(_) => Err(StartError::TimedOut {
            step: Step::Attachment,
            limit,
        }),
    }
}

/// Says that this build cannot.
#[cfg(not(feature = "host"))]
#[expect(clippy::unused_async, reason = "as in a build with host support")]
pub async fn attach(_context: &Context, _place: &Place) -> Result<Attached, StartError> {
    Err(StartError::NoHostSupport)
}

#[cfg(feature = "host")]
fn boxed(error: impl std::error::Error + Send + Sync + 'static) -> StartError {
    StartError::Attach(Box::new(error))
}

/// `XAUTHORITY`, or the file that X programs look for without it (Xsecurity(7)).
fn xauthority(config: &Config) -> Option<PathBuf> {
    let usual = || {
        let file = Path::new(&variable(config, "HOME")?).join(".Xauthority");
        file.exists().then_some(file)
    };
    variable(config, "XAUTHORITY")
        .map(PathBuf::from)
        .or_else(usual)
}

fn variable(config: &Config, wanted: &str) -> Option<String> {
    let mut all = config.base_env.iter();
    let (_, value) = all.find(|(name, value)| name == wanted && !value.is_empty())?;
    value.to_str().map(str::to_owned)
}

/// Number of a display in the names of authority files: `7` of `:7.0`.
fn number(display: &str) -> &str {
    let rest = display.trim_start_matches(':');
    rest.split_once('.').map_or(rest, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        Config::new(
            "/state".into(),
            "/run".into(),
            variables.iter().map(pair).collect(),
        )
    }

    #[test]
    fn the_display_is_the_configured_one_or_that_of_the_environment() {
        let mut config = config(&[("DISPLAY", ":3"), ("XAUTHORITY", "/nowhere/auth")]);
        let found = place(&config, "id").expect("a display");
        assert_eq!(found.address.display, ":3");
        assert_eq!(found.address.cookie, None, "the file is not there");
        assert_eq!(found.xauthority, Some("/nowhere/auth".into()));
        assert_eq!(found.rfb, None);
        config.host_display = Some(":7.0".to_owned());
        config.host_vnc = Some(([127, 0, 0, 1], 5907).into());
        let found = place(&config, "id").expect("a display");
        assert_eq!(found.address.display, ":7.0");
        assert_eq!(found.rfb, config.host_vnc.map(RfbAddress::Tcp));
    }

    #[test]
    fn the_cookie_is_that_of_the_display() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(".Xauthority");
        fs::write(&file, authority::encode(b"machine", "7", &[9; 16])).expect("writing");
        let home = folder.path().to_str().expect("a name in UTF-8");
        let mut config = config(&[("HOME", home), ("DISPLAY", "")]);
        config.host_display = Some(":7.0".to_owned());
        let found = place(&config, "id").expect("a display");
        assert_eq!(found.address.cookie, Some([9; 16]));
        assert_eq!(found.xauthority, Some(file));
    }

    #[test]
    fn no_display_says_what_to_do() {
        let error = place(&config(&[("DISPLAY", "")]), "id").expect_err("none is named");
        assert!(error.to_string().contains("--host-display"), "{error}");
    }
}
