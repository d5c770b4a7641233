//! A viewer that costs next to nothing: shakes hands, asks for a picture, counts what comes.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use nix::sys::socket::{MsgFlags, recv};

use crate::Outcome;

/// A viewer after its handshake.
#[derive(Debug)]
pub(crate) struct Viewer {
    stream: TcpStream,
    framed: bool,
    /// Bytes of messages that nobody has taken yet.
    pending: Vec<u8>,
}

impl Viewer {
    /// RFB over the plain connection.
    pub(crate) fn plain(address: &str) -> Outcome<Self> {
        Self::shake(TcpStream::connect(address)?, false)
    }

    /// RFB over a WebSocket.
    pub(crate) fn websocket(address: &str, path: &str, token: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: binary\r\nAuthorization: Bearer {token}\r\n\r\n"
        )?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(String::from_utf8_lossy(&head).into());
        }
        Self::shake(stream, true)
    }

    fn shake(stream: TcpStream, framed: bool) -> Outcome<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut viewer = Self {
            stream,
            framed,
            pending: Vec::new(),
        };
        viewer.take(12)?;
        viewer.send(b"RFB 003.008\n")?;
        viewer.take(2)?;
        viewer.send(&[1])?;
        viewer.take(4)?;
        viewer.send(&[1])?;
        viewer.take(24)?;
        Ok(viewer)
    }

    /// Asks for a picture and counts bytes for so long, after as long again that is not counted.
    pub(crate) fn flood(&mut self, warm_up: Duration, time: Duration) -> Outcome<Flood> {
        self.send(&[3, 0, 0, 0, 0, 0, 5, 0, 3, 32])?;
        let mut buffer = vec![0; 1 << 20];
        let warm = Instant::now() + warm_up;
        while Instant::now() < warm {
            self.swallow(&mut buffer)?;
        }
        Ok(Flood {
            start: Instant::now(),
            time,
            buffer,
        })
    }

    /// Counts until the time is over: bytes, and how long it was.
    pub(crate) fn count(&mut self, mut flood: Flood) -> Outcome<(f64, Duration)> {
        let mut bytes = 0.0;
        loop {
            let read = self.swallow(&mut flood.buffer)?;
            bytes += f64::from(u32::try_from(read)?);
            let taken = flood.start.elapsed();
            if taken >= flood.time {
                return Ok((bytes, taken));
            }
        }
    }

    /// Takes bytes off the connection without copying them (tcp(7), `MSG_TRUNC`): on two cores the viewer's time would
    /// be the relay's.
    fn swallow(&self, buffer: &mut [u8]) -> Outcome<usize> {
        match recv(self.stream.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC)? {
            0 => Err("the relay closed the connection".into()),
            read => Ok(read),
        }
    }

    /// A masked frame whose mask changes nothing (RFC 6455, 5.3), or the bytes alone.
    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        if !self.framed {
            return Ok(self.stream.write_all(bytes)?);
        }
        let length = u8::try_from(bytes.len())? | 0x80;
        let mut frame = vec![0x82, length, 0, 0, 0, 0];
        frame.extend(bytes);
        Ok(self.stream.write_all(&frame)?)
    }

    /// The next bytes of the stream, whatever frames they came in.
    fn take(&mut self, count: usize) -> Outcome<()> {
        while self.pending.len() < count {
            let length = if self.framed { self.frame()? } else { count };
            let start = self.pending.len();
            self.pending.resize(start + length, 0);
            self.stream.read_exact(&mut self.pending[start..])?;
        }
        self.pending.drain(..count);
        Ok(())
    }

    /// Header of a frame: the length of what follows. The handshake's frames are short.
    fn frame(&mut self) -> Outcome<usize> {
        let mut header = [0; 2];
        self.stream.read_exact(&mut header)?;
        match header {
            [0x82, length @ 0..=125] => Ok(length.into()),
            other => Err(format!("an unexpected frame: {other:x?}").into()),
        }
    }
}

/// A flood that has begun.
#[derive(Debug)]
pub(crate) struct Flood {
    start: Instant,
    time: Duration,
    buffer: Vec<u8>,
}
