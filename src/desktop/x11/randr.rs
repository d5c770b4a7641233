//! The size of the screen (`RandR` 1.2): a mode of that size is found or made, and the screen follows it.

use x11rb::{
    CURRENT_TIME,
    connection::Connection,
    errors::ReplyError,
    protocol::{
        randr::{
            ConnectionExt as _, Crtc, GetCrtcInfoReply, GetScreenResourcesCurrentReply, Mode,
            ModeFlag, ModeInfo, Output,
        },
        xproto::{ConnectionExt as _, Window},
    },
    rust_connection::RustConnection,
};

use crate::desktop::geometry::Size;

/// Modes with such names are ours, and go when another takes their place.
const PREFIX: &str = "deskd-";

/// The output that shows the screen, and what drives it.
struct Head {
    output: Output,
    crtc: Crtc,
    modes: Vec<Mode>,
    state: GetCrtcInfoReply,
}

/// Sets the size of the screen as far as the server allows; the caller reads what became of it.
pub(super) fn resize(
    connection: &RustConnection,
    root: Window,
    size: (u16, u16),
) -> Result<(), ReplyError> {
    let resources = connection
        .randr_get_screen_resources_current(root)?
        .reply()?;
    let Some(head) = head(connection, &resources)? else {
        return set_screen(connection, root, size);
    };
    let mode = match find(&resources, &head, size) {
        Some(mode) => mode,
        None => make(connection, root, &head, size)?,
    };
    // Other clients never see the steps between.
    connection.grab_server()?;
    let result = switch(connection, root, &head, mode, size);
    connection.ungrab_server()?;
    connection.flush()?;
    result?;
    remove_others(connection, &resources, &head, mode)
}

fn head(
    connection: &RustConnection,
    resources: &GetScreenResourcesCurrentReply,
) -> Result<Option<Head>, ReplyError> {
    for &output in &resources.outputs {
        let info = connection
            .randr_get_output_info(output, resources.config_timestamp)?
            .reply()?;
        if info.crtc == 0 {
            continue;
        }
        let state = connection
            .randr_get_crtc_info(info.crtc, resources.config_timestamp)?
            .reply()?;
        return Ok(Some(Head {
            output,
            crtc: info.crtc,
            modes: info.modes,
            state,
        }));
    }
    Ok(None)
}

fn find(
    resources: &GetScreenResourcesCurrentReply,
    head: &Head,
    (w, h): (u16, u16),
) -> Option<Mode> {
    resources
        .modes
        .iter()
        .find(|mode| (mode.width, mode.height) == (w, h) && head.modes.contains(&mode.id))
        .map(|mode| mode.id)
}

/// A mode for a screen that no cable leads to: 60 Hz and no blanking.
fn make(
    connection: &RustConnection,
    root: Window,
    head: &Head,
    (width, height): (u16, u16),
) -> Result<Mode, ReplyError> {
    let name = format!("{PREFIX}{width}x{height}");
    let info = ModeInfo {
        id: 0,
        width,
        height,
        dot_clock: u32::from(width) * u32::from(height) * 60,
        hsync_start: width,
        hsync_end: width,
        htotal: width,
        hskew: 0,
        vsync_start: height,
        vsync_end: height,
        vtotal: height,
        name_len: u16::try_from(name.len()).expect("a short name"),
        mode_flags: ModeFlag::default(),
    };
    let mode = connection
        .randr_create_mode(root, info, name.as_bytes())?
        .reply()?
        .mode;
    connection
        .randr_add_output_mode(head.output, mode)?
        .check()?;
    Ok(mode)
}

/// The screen must hold the mode at every moment: grow, change the mode, shrink.
fn switch(
    connection: &RustConnection,
    root: Window,
    head: &Head,
    mode: Mode,
    size: (u16, u16),
) -> Result<(), ReplyError> {
    let now = connection.get_geometry(root)?.reply()?;
    let both = (size.0.max(now.width), size.1.max(now.height));
    if both != (now.width, now.height) {
        set_screen(connection, root, both)?;
    }
    connection
        .randr_set_crtc_config(
            head.crtc,
            CURRENT_TIME,
            CURRENT_TIME,
            0,
            0,
            mode,
            head.state.rotation,
            &[head.output],
        )?
        .reply()?;
    if both != size {
        set_screen(connection, root, size)?;
    }
    Ok(())
}

fn set_screen(
    connection: &RustConnection,
    root: Window,
    (width, height): (u16, u16),
) -> Result<(), ReplyError> {
    // 96 dots per inch.
    let millimetres = |pixels: u16| u32::from(pixels) * 254 / 960;
    let (across, down) = (millimetres(width), millimetres(height));
    connection
        .randr_set_screen_size(root, width, height, across, down)?
        .check()
}

/// Removes the modes made for earlier sizes, so that their number stays one.
fn remove_others(
    connection: &RustConnection,
    resources: &GetScreenResourcesCurrentReply,
    head: &Head,
    used: Mode,
) -> Result<(), ReplyError> {
    let mut names = resources.names.as_slice();
    for mode in &resources.modes {
        let (name, rest) = names.split_at(usize::from(mode.name_len).min(names.len()));
        names = rest;
        if name.starts_with(PREFIX.as_bytes()) && mode.id != used {
            connection
                .randr_delete_output_mode(head.output, mode.id)?
                .check()?;
            connection.randr_destroy_mode(mode.id)?.check()?;
        }
    }
    Ok(())
}

/// A size as the protocol has it; `None` when it is empty or does not fit.
pub(super) fn protocol_size(size: Size) -> Option<(u16, u16)> {
    let side = |side: u32| u16::try_from(side).ok().filter(|side| *side > 0);
    Some((side(size.width)?, side(size.height)?))
}
