//! Messages with descriptors over a Unix socket between two processes of ours.
//!
//! A frame is a head and a body of bytes, and descriptors. On the wire: the lengths of both (u32, little endian), the number of
//! descriptors (u8), head, body; the descriptors travel with the first byte (unix(7), `SCM_RIGHTS`).

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::Arc,
};

use bytes::{Buf, BytesMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::unix::AsyncFd;

use super::descriptor;

/// Largest head or body, in bytes.
pub const FRAME_LIMIT: usize = 16 << 20;
/// Descriptors in one frame.
const DESCRIPTORS: usize = 4;
const HEADER: usize = 9;
const READ_AT_ONCE: usize = 64 << 10;

/// One message.
#[derive(Debug, Default)]
pub struct Frame {
    /// What it says.
    pub head: Vec<u8>,
    /// Bytes beside it.
    pub body: Vec<u8>,
    /// At most four descriptors.
    pub descriptors: Vec<OwnedFd>,
}

/// Receiving half.
#[derive(Debug)]
pub struct Receiver {
    socket: Arc<AsyncFd<OwnedFd>>,
    buffer: BytesMut,
    descriptors: VecDeque<OwnedFd>,
}

/// Sending half.
#[derive(Debug)]
pub struct Sender {
    socket: Arc<AsyncFd<OwnedFd>>,
}

/// Both halves of a connected socket. Needs a tokio runtime.
pub fn open(socket: UnixStream) -> io::Result<(Sender, Receiver)> {
    socket.set_nonblocking(true)?;
    let socket = Arc::new(descriptor::both(socket)?);
    let receiver = Receiver {
        socket: Arc::clone(&socket),
        buffer: BytesMut::new(),
        descriptors: VecDeque::new(),
    };
    Ok((Sender { socket }, receiver))
}

/// Connects to a socket in a folder. By a descriptor of the folder, because a socket's path may have 107 bytes only.
pub fn connect(folder: &Path, name: &str) -> io::Result<UnixStream> {
    by_folder(folder, name, |path| UnixStream::connect(path))
}

/// Listens on a socket in a folder; one that is there is replaced.
pub fn listen(folder: &Path, name: &str) -> io::Result<UnixListener> {
    match std::fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    by_folder(folder, name, |path| UnixListener::bind(path))
}

fn by_folder<T>(
    folder: &Path,
    name: &str,
    work: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    use std::os::fd::AsRawFd;
    let folder = std::fs::File::open(folder)?;
    work(Path::new(&format!(
        "/proc/self/fd/{}/{name}",
        folder.as_raw_fd()
    )))
}

impl Receiver {
    /// The next message; `None` when the other end is gone. May be dropped and called again.
    pub async fn receive(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            let mut ready = self.socket.readable().await?;
            let read = ready
                .try_io(|socket| read(socket.get_ref(), &mut self.buffer, &mut self.descriptors));
            match read {
                Ok(Ok(0)) => return Ok(None),
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Frame>> {
        let Some(header) = self.buffer.get(..HEADER) else {
            return Ok(None);
        };
        let length = |at: usize| {
            let bytes: [u8; 4] = header[at..at + 4].try_into().expect("four bytes");
            usize::try_from(u32::from_le_bytes(bytes)).expect("32 bits fit")
        };
        let (head, body, count) = (length(0), length(4), usize::from(header[8]));
        if head > FRAME_LIMIT || body > FRAME_LIMIT || count > DESCRIPTORS {
            return Err(io::Error::other("a frame that nobody of ours sends"));
        }
        if self.buffer.len() < HEADER + head + body || self.descriptors.len() < count {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        Ok(Some(Frame {
            head: self.buffer.split_to(head).to_vec(),
            body: self.buffer.split_to(body).to_vec(),
            descriptors: self.descriptors.drain(..count).collect(),
        }))
    }
}

fn read(
    socket: &OwnedFd,
    buffer: &mut BytesMut,
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    let start = buffer.len();
    buffer.resize(start + READ_AT_ONCE, 0);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let result = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut buffer[start..])],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    );
    let count = result.as_ref().map_or(0, |message| message.bytes);
    buffer.truncate(start + count);
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    result.map_err(io::Error::from).map(|message| message.bytes)
}

impl Sender {
    /// Sends a message. Dropping the future may leave half of it sent: whoever does so must close the connection.
    pub async fn send(&mut self, frame: Frame) -> io::Result<()> {
        let Frame {
            head,
            body,
            descriptors,
        } = frame;
        if head.len() > FRAME_LIMIT || body.len() > FRAME_LIMIT || descriptors.len() > DESCRIPTORS {
            return Err(io::Error::other("the message is too large"));
        }
        let mut bytes = Vec::with_capacity(HEADER + head.len() + body.len());
        for length in [head.len(), body.len()] {
            let length = u32::try_from(length).expect("below the limit");
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        bytes.push(u8::try_from(descriptors.len()).expect("below the limit"));
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&body);
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut sent = 0;
        while sent < bytes.len() {
            let mut ready = self.socket.writable().await?;
            let rights: &[BorrowedFd<'_>] = if sent == 0 { &borrowed } else { &[] };
            match ready.try_io(|socket| write(socket.get_ref(), &bytes[sent..], rights)) {
                Ok(Ok(count)) => sent += count,
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

fn write(socket: &OwnedFd, bytes: &[u8], rights: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !rights.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(rights));
    }
    sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )
    .map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[tokio::test]
    async fn messages_arrive_whole_with_their_descriptors() {
        let (left, right) = UnixStream::pair().expect("a pair");
        let (mut sender, _) = open(left).expect("opened");
        let (_, mut receiver) = open(right).expect("opened");
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let large = Frame {
            head: b"{}".to_vec(),
            body: vec![7; 3 << 20],
            descriptors: Vec::new(),
        };
        let with = Frame {
            head: b"take".to_vec(),
            body: Vec::new(),
            descriptors: vec![writer.into()],
        };
        let send = async {
            sender.send(large).await.expect("sent");
            sender.send(with).await.expect("sent");
        };
        let receive = async {
            let first = receiver.receive().await.expect("read").expect("a frame");
            assert_eq!((first.body.len(), first.descriptors.len()), (3 << 20, 0));
            receiver.receive().await.expect("read").expect("a frame")
        };
        let ((), second) = tokio::join!(send, receive);
        assert_eq!(second.head, b"take");
        for descriptor in second.descriptors {
            std::fs::File::from(descriptor)
                .write_all(b"x")
                .expect("ours now");
        }
        let mut text = Vec::new();
        reader
            .read_to_end(&mut text)
            .expect("all copies are closed");
        assert_eq!(text, b"x");
        drop(sender);
    }

    #[tokio::test]
    async fn an_absurd_length_is_an_error_and_an_end_is_none() {
        let (mut left, right) = UnixStream::pair().expect("a pair");
        let (_sender, mut receiver) = open(right).expect("opened");
        left.write_all(&[255; 9]).expect("written");
        assert!(receiver.receive().await.is_err());
        let (left, right) = UnixStream::pair().expect("a pair");
        let (_sender, mut receiver) = open(right).expect("opened");
        drop(left);
        assert!(receiver.receive().await.expect("no error").is_none());
    }
}
