//! What stands on the desktop: terminals full of coloured text, or a window that looks like a photograph. The same in
//! each run.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use x11rb::{
    connection::Connection,
    protocol::{
        Event,
        xproto::{
            ChangeGCAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, ImageFormat,
            Rectangle, Window, WindowClass,
        },
    },
};

use crate::{
    Outcome,
    cleanup::Place,
    display::Display,
    process::{Running, program, until},
};

const WORDS: [&str; 16] = [
    "fn",
    "desktop",
    "let",
    "mut",
    "screen",
    "->",
    "Result<()>",
    "match",
    "0x7f3a",
    "{",
    "}",
    "impl",
    "// the last",
    "\"pixel\"",
    "=>",
    "return",
];
const PATIENCE: Duration = Duration::from_secs(20);

/// Terminals on a display, ended when dropped.
#[derive(Debug)]
pub(crate) struct Terminals(#[expect(dead_code, reason = "held for their end")] Vec<Running>);

/// Fills the upper part of the desktop with terminals; its lower edge stays free for clicks that nobody takes.
pub(crate) fn terminals(place: &Place, display: &Display) -> Outcome<Terminals> {
    let colours = [
        ("white", "black"),
        ("black", "white"),
        ("grey90", "#1d2433"),
        ("#222222", "#fdf6e3"),
    ];
    let (width, height) = (i32::from(display.width), i32::from(display.height));
    let mut all = Vec::new();
    for (number, (front, back)) in (0_i32..).zip(colours) {
        let text = text(u32::try_from(number)? + 1);
        let file = place.path().join(format!("text-{number}"));
        fs::write(&file, text)?;
        let (x, y) = (number % 2 * width / 2, number / 2 * (height / 2 - 20));
        let geometry = format!("{}x{}+{x}+{y}", width / 2 / 7 - 2, (height / 2 - 50) / 15);
        let mut command = program(place, "xterm");
        command
            .args([
                "-fa",
                "DejaVu Sans Mono",
                "-fs",
                "9",
                "-geometry",
                &geometry,
            ])
            .args([
                "-fg",
                front,
                "-bg",
                back,
                "-e",
                "sh",
                "-c",
                "cat \"$0\"; exec cat",
            ])
            .arg(&file);
        all.push(Running(display.dress(&mut command).spawn()?));
    }
    until("the terminals", PATIENCE, || {
        let tree = display
            .connection
            .query_tree(display.root)
            .ok()?
            .reply()
            .ok()?;
        let shown = tree
            .children
            .iter()
            .filter(|child| is_shown(display, **child));
        (shown.count() >= colours.len()).then_some(())
    })?;
    display.quiet(Duration::from_millis(500))?;
    Ok(Terminals(all))
}

fn is_shown(display: &Display, window: Window) -> bool {
    let geometry = display.connection.get_geometry(window).ok();
    let attributes = display.connection.get_window_attributes(window).ok();
    let large = geometry
        .and_then(|cookie| cookie.reply().ok())
        .is_some_and(|reply| reply.width > 200 && reply.height > 100);
    let viewable = x11rb::protocol::xproto::MapState::VIEWABLE;
    large
        && attributes
            .and_then(|cookie| cookie.reply().ok())
            .is_some_and(|reply| reply.map_state == viewable)
}

/// Lines as a build prints them, by a generator with a fixed start.
fn text(seed: u32) -> String {
    let mut random = Random(seed);
    let mut text = String::from("\x1b[?25l");
    for line in 0..120 {
        let _ = write!(text, "\x1b[2m{line:4}\x1b[0m ");
        for _ in 0..2 + random.below(5) {
            let colour = 30 + random.below(8);
            let word = WORDS[usize::try_from(random.below(16)).expect("below sixteen")];
            let _ = write!(text, "\x1b[{colour}m{word}\x1b[0m ");
        }
        text.push_str("\r\n");
    }
    text
}

/// A terminal that writes what is typed into it to a file, byte by byte.
#[derive(Debug)]
pub(crate) struct Recorder {
    _terminal: Running,
    file: PathBuf,
    window: Window,
}

impl Recorder {
    /// Starts it and gives it the keyboard.
    pub(crate) fn start(place: &Place, display: &Display) -> Outcome<Self> {
        const TITLE: &str = "deskd-bench-recorder";
        let folder = place.folder("typed-")?;
        let (file, ready) = (folder.join("text"), folder.join("ready"));
        let script = "stty raw -echo && : >\"$1\" && exec cat >\"$0\"";
        let mut command = program(place, "xterm");
        command
            .args([
                "-T",
                TITLE,
                "-geometry",
                "40x4+200+200",
                "-e",
                "sh",
                "-c",
                script,
            ])
            .args([&file, &ready]);
        let terminal = Running(display.dress(&mut command).spawn()?);
        until("the recorder", PATIENCE, || ready.exists().then_some(()))?;
        let window = until("the recorder's window", PATIENCE, || {
            display.find(TITLE).ok().flatten()
        })?;
        display.quiet(Duration::from_millis(300))?;
        let recorder = Self {
            _terminal: terminal,
            file,
            window,
        };
        recorder.take_keyboard(display)?;
        Ok(recorder)
    }

    /// Keys go there from now on.
    pub(crate) fn take_keyboard(&self, display: &Display) -> Outcome<()> {
        display.focus(self.window)
    }

    /// How much was typed so far, in bytes.
    pub(crate) fn length(&self) -> usize {
        fs::read(&self.file)
            .map(|bytes| bytes.len())
            .unwrap_or_default()
    }

    /// Waits until so much is there, and tells whether what came after `start` is this text.
    pub(crate) fn holds(&self, start: usize, text: &str) -> Outcome<bool> {
        let wanted = start + text.len();
        let there = until("the typed text", Duration::from_secs(5), || {
            (self.length() >= wanted).then_some(())
        });
        let bytes = fs::read(&self.file)?;
        Ok(there.is_ok() && bytes.get(start..) == Some(text.as_bytes()))
    }
}

/// A window that redraws for a while after each click, by a thread of its own. Closed when dropped.
#[derive(Debug)]
pub(crate) struct Restless<'a> {
    display: &'a Display,
    window: Window,
    redrawn: Receiver<Instant>,
}

impl<'a> Restless<'a> {
    const PLACE: (i16, i16, u16, u16) = (400, 300, 320, 200);
    const FRAME: Duration = Duration::from_millis(16);

    /// Opens it above all others.
    pub(crate) fn open(display: &'a Display, busy: Duration) -> Outcome<Self> {
        let own = display.again()?;
        let window = own.connection.generate_id()?;
        let (x, y, width, height) = Self::PLACE;
        let attributes = CreateWindowAux::new()
            .override_redirect(1)
            .background_pixel(0x0030_6090)
            .event_mask(
                EventMask::EXPOSURE | EventMask::BUTTON_PRESS | EventMask::STRUCTURE_NOTIFY,
            );
        let (depth, class) = (x11rb::COPY_DEPTH_FROM_PARENT, WindowClass::INPUT_OUTPUT);
        own.connection.create_window(
            depth,
            window,
            own.root,
            x,
            y,
            width,
            height,
            0,
            class,
            0,
            &attributes,
        )?;
        own.connection.map_window(window)?;
        own.connection.flush()?;
        while !matches!(own.connection.wait_for_event()?, Event::Expose(_)) {}
        let (sender, redrawn) = sync_channel(1);
        #[expect(clippy::disallowed_methods, reason = "the benchmark is not the daemon")]
        std::thread::spawn(move || Self::serve(&own, window, busy, &sender));
        Ok(Self {
            display,
            window,
            redrawn,
        })
    }

    /// Until the window is closed.
    fn serve(
        own: &Display,
        window: Window,
        busy: Duration,
        done: &SyncSender<Instant>,
    ) -> Outcome<()> {
        let context = own.connection.generate_id()?;
        own.connection
            .create_gc(context, window, &CreateGCAux::new())?;
        let mut colour = 1_u32;
        loop {
            match own.connection.wait_for_event()? {
                Event::ButtonPress(_) => {}
                Event::DestroyNotify(_) => return Ok(()),
                _ => continue,
            }
            let end = Instant::now() + busy;
            let mut last = Instant::now();
            // Noted before it is drawn: nobody may call the window still earlier than that and the quiet time.
            while Instant::now() < end {
                last = Instant::now();
                colour = colour.wrapping_mul(7919).wrapping_add(1);
                let (_, _, width, height) = Self::PLACE;
                let all = Rectangle {
                    x: 0,
                    y: 0,
                    width,
                    height,
                };
                own.connection
                    .change_gc(context, &ChangeGCAux::new().foreground(colour))?;
                own.connection
                    .poly_fill_rectangle(window, context, &[all])?;
                own.sync()?;
                let left = end.saturating_duration_since(Instant::now());
                own.event_within(Self::FRAME.min(left))?;
            }
            done.send(last)?;
        }
    }

    /// Its middle.
    pub(crate) fn middle() -> (i32, i32) {
        let (x, y, width, height) = Self::PLACE;
        let middle = |at: i16, length: u16| i32::from(at) + i32::from(length / 2);
        (middle(x, width), middle(y, height))
    }

    /// When it was redrawn for the last time after the last click.
    pub(crate) fn last_redraw(&self) -> Outcome<Instant> {
        Ok(self.redrawn.recv_timeout(PATIENCE)?)
    }
}

impl Drop for Restless<'_> {
    fn drop(&mut self) {
        let closed = self.display.connection.destroy_window(self.window);
        let _ = closed.map(x11rb::cookie::VoidCookie::check);
    }
}

/// A window over the whole screen: soft colours that change slowly, with noise, as a camera gives them.
pub(crate) fn photograph(display: &Display) -> Outcome<Window> {
    let connection = &display.connection;
    let (width, height) = (display.width, display.height);
    let pixels = plasma(width.into(), height.into());
    let (pixmap, context, window) = (
        connection.generate_id()?,
        connection.generate_id()?,
        connection.generate_id()?,
    );
    let depth = connection.setup().roots[0].root_depth;
    connection.create_pixmap(depth, pixmap, display.root, width, height)?;
    connection.create_gc(context, pixmap, &CreateGCAux::new())?;
    let rows = 64;
    let row = usize::from(width) * 4;
    for (strip, top) in pixels.chunks(row * rows).zip((0_i16..).step_by(rows)) {
        let count = u16::try_from(strip.len() / row)?;
        let format = ImageFormat::Z_PIXMAP;
        connection.put_image(
            format, pixmap, context, width, count, 0, top, 0, depth, strip,
        )?;
    }
    let attributes = CreateWindowAux::new()
        .override_redirect(1)
        .background_pixmap(pixmap);
    connection.create_window(
        depth,
        window,
        display.root,
        0,
        0,
        width,
        height,
        0,
        WindowClass::INPUT_OUTPUT,
        x11rb::COPY_FROM_PARENT,
        &attributes,
    )?;
    connection.map_window(window)?;
    display.sync()?;
    display.quiet(Duration::from_millis(200))?;
    Ok(window)
}

/// Blue, green, red, nothing; a few waves a channel and Gaussian noise, in whole numbers.
fn plasma(width: u32, height: u32) -> Vec<u8> {
    let mut random = Random(7);
    let mut out = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let waves = [
                wave(x, 700) + wave(y, 500),
                wave(x + y, 900) + wave(y, 330),
                wave(x + 2 * y, 1100) + wave(x, 410),
            ];
            for wave in waves {
                // The sum of four is near enough to Gauss; its deviation is about 9.
                let noise: u32 = (0..4).map(|_| random.below(16)).sum();
                let value = (wave * 224 / 512 + noise).min(255);
                out.push(u8::try_from(value).expect("at most 255"));
            }
            out.push(0);
        }
    }
    out
}

/// A smooth wave between 0 and 256: a parabola up and one down.
fn wave(at: u32, length: u32) -> u32 {
    let half = length / 2;
    let place = at % length;
    let (inside, down) = (place % half, place >= half);
    let bow = 4 * 128 * inside * (half - inside) / (half * half);
    if down { 128 - bow.min(128) } else { 128 + bow }
}

/// A generator with a fixed start (Numerical Recipes' constants).
struct Random(u32);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % limit
    }
}
