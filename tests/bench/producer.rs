//! An RFB server that shakes hands and then sends as fast as it can, and the barest thing to put between it and a viewer.
//!
//! It listens on a Unix socket, as the X server of our desktop does, or on TCP, as VNC servers usually do.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::Stdio,
    thread,
};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create, sendfile};

use crate::{
    Outcome,
    cleanup::Place,
    process::{Running, program},
};

/// The benchmark starts itself with this and a socket to be a bare copy.
pub(crate) const COPY_FLAG: &str = "--copy-to";

/// What is moved at a time.
const CHUNK: usize = 64 * 1024;

/// What the producer hands to the kernel at a time, in bytes: about a screen.
const PICTURE: u64 = 4 << 20;

/// Version, security, result, init of a screen with 1280×800 pixels of 32 bits (RFC 6143, 7.1 to 7.3).
const SERVER_INIT: [u8; 24] = [
    5, 0, 3, 32, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// Listens until the benchmark ends. Each viewer that asks for a picture gets bytes without end.
pub(crate) fn start(path: &Path) -> Outcome<()> {
    let listener = UnixListener::bind(path)?;
    spawn("producer", move || {
        for stream in listener.incoming().flatten() {
            // A viewer that leaves is no failure; without a thread the viewer is told by the closed connection.
            let _ = spawn("producer", move || drop(produce(stream)));
        }
    })
}

/// The same on TCP; gives where.
pub(crate) fn start_tcp() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    spawn("producer", move || {
        for stream in listener.incoming().flatten() {
            let _ = spawn("producer", move || drop(produce(stream)));
        }
    })?;
    Ok(address)
}

fn produce(mut stream: impl Read + Write + AsFd) -> Outcome<()> {
    let mut short = [0; 12];
    stream.write_all(b"RFB 003.008\n")?;
    stream.read_exact(&mut short)?;
    stream.write_all(&[1, 1])?; // one way in: None
    stream.read_exact(&mut short[..1])?;
    stream.write_all(&[0; 4])?;
    stream.read_exact(&mut short[..1])?;
    stream.write_all(&SERVER_INIT)?;
    stream.read_exact(&mut short[..10])?; // FramebufferUpdateRequest
    let memory = memfd_create("deskd-bench", MemfdFlags::CLOEXEC)?;
    ftruncate(&memory, PICTURE)?;
    loop {
        // From memory to the socket without a copy: on two cores its time would be the relay's.
        sendfile(&stream, &memory, Some(&mut 0), usize::try_from(PICTURE)?)?;
    }
}

/// Starts a process that only copies between a viewer and the address; gives where it listens.
pub(crate) fn bare_copy(place: &Place, to: &Path) -> Outcome<(Running, SocketAddr)> {
    let mut child = program(place, std::env::current_exe()?)
        .arg(COPY_FLAG)
        .arg(to)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().ok_or("stdout is piped")?;
    let running = Running(child);
    let mut line = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok((running, String::from_utf8(line)?.parse()?))
}

/// What that process does.
pub(crate) fn copy_to(target: &str) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for viewer in listener.incoming() {
        let viewer = viewer?;
        let server = UnixStream::connect(target)?;
        viewer.set_nodelay(true)?;
        let (up, down) = (viewer.try_clone()?, server.try_clone()?);
        spawn("copy", move || drop(copy(down, viewer)))?;
        spawn("copy", move || drop(copy(up, server)))?;
    }
    Ok(())
}

/// By reading and writing: a relay that frames what passes cannot leave it to the kernel either.
fn copy(mut from: impl Read, mut to: impl Write) -> Outcome<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read])?;
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Outcome<()> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn(work)?;
    Ok(())
}
