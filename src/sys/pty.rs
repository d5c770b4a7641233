//! Pseudo-terminals (pty(7)).

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{
        OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
    },
};

/// A terminal: what the daemon reads and writes, and what the program has as its standard files.
#[derive(Debug)]
pub struct Pty {
    /// Our end.
    pub master: OwnedFd,
    /// The program's end. While anybody holds it, the output is open.
    pub slave: OwnedFd,
}

/// Opens a terminal of this size.
pub fn open(rows: u16, columns: u16) -> io::Result<Pty> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    // By the master itself, not by a path: it works without /dev/pts, and in another mount namespace.
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    resize(&master, rows, columns)?;
    Ok(Pty { master, slave })
}

/// Changes the size; the foreground group gets SIGWINCH when it is another one.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> io::Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).map_err(Into::into)
}

/// Rows and columns.
pub fn size(terminal: impl AsFd) -> io::Result<(u16, u16)> {
    let size = tcgetwinsize(terminal)?;
    Ok((size.ws_row, size.ws_col))
}

/// The byte that means end of file to the program that reads the terminal now; `None` when none does.
pub fn end_of_file(terminal: impl AsFd) -> io::Result<Option<u8>> {
    let modes = rustix::termios::tcgetattr(terminal)?;
    let byte = modes.special_codes[rustix::termios::SpecialCodeIndex::VEOF];
    Ok((byte != 0).then_some(byte))
}

/// A terminal that gives every key as it is typed and prints what comes as it is. Dropping it brings back how it was.
#[derive(Debug)]
pub struct Raw<T: AsFd> {
    terminal: T,
    before: Termios,
}

/// Makes a terminal raw (termios(3), `cfmakeraw`).
pub fn raw<T: AsFd>(terminal: T) -> io::Result<Raw<T>> {
    let before = tcgetattr(&terminal)?;
    let mut modes = before.clone();
    modes.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &modes)?;
    Ok(Raw { terminal, before })
}

impl<T: AsFd> Drop for Raw<T> {
    fn drop(&mut self) {
        // What was typed ahead stays for whoever reads next.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
    };

    use super::*;

    #[test]
    fn what_the_program_writes_comes_out_and_its_end_is_eio() {
        let Pty { master, slave } = open(24, 80).expect("a terminal");
        assert_eq!(size(&master).expect("a size"), (24, 80));
        resize(&master, 3, 7).expect("resized");
        assert_eq!(size(&slave).expect("a size"), (3, 7));
        assert_eq!(end_of_file(&master).expect("modes"), Some(4));
        File::from(slave).write_all(b"a\n").expect("written");
        let (mut text, mut master) = (Vec::new(), File::from(master));
        let error = master.read_to_end(&mut text).expect_err("EIO");
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::IO.raw_os_error())
        );
        assert_eq!(text, b"a\r\n");
    }
}
