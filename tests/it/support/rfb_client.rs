//! A small RFB viewer: real handshake, Raw pixels, keys and pointer, over any byte stream.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const RAW: i32 = 0;
const DESKTOP_SIZE: i32 = -223;

/// A viewer whose handshake is done.
#[derive(Debug)]
pub struct RfbClient<S> {
    stream: S,
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
    /// Name of the desktop.
    pub name: String,
    /// Rows of `0x00RRGGBB`.
    pub pixels: Vec<u32>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> RfbClient<S> {
    /// Shakes hands without authentication and asks for 32-bit pixels in `Raw`.
    pub async fn connect(mut stream: S) -> io::Result<Self> {
        let mut version = [0; 12];
        stream.read_exact(&mut version).await?;
        assert_eq!(&version, b"RFB 003.008\n", "the server's greeting");
        stream.write_all(&version).await?;
        let count = stream.read_u8().await?;
        let mut types = vec![0; count.into()];
        stream.read_exact(&mut types).await?;
        assert!(types.contains(&1), "security type None in {types:?}");
        stream.write_u8(1).await?;
        assert_eq!(stream.read_u32().await?, 0, "the security result");
        stream.write_u8(1).await?; // shared
        let (width, height) = (stream.read_u16().await?, stream.read_u16().await?);
        let mut format = [0; 16];
        stream.read_exact(&mut format).await?;
        let length = stream.read_u32().await?;
        let mut name = vec![0; length as usize];
        stream.read_exact(&mut name).await?;
        let mut client = Self {
            stream,
            width,
            height,
            name: String::from_utf8_lossy(&name).into_owned(),
            pixels: vec![0; usize::from(width) * usize::from(height)],
        };
        client.set_up().await?;
        Ok(client)
    }

    /// 32 bits, little-endian, red at 16, green at 8, blue at 0; Raw and desktop size.
    async fn set_up(&mut self) -> io::Result<()> {
        let format = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
        let mut message = vec![0; 4];
        message.extend(format);
        message.extend([2, 0, 0, 2]);
        message.extend(RAW.to_be_bytes());
        message.extend(DESKTOP_SIZE.to_be_bytes());
        self.send(&message).await
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Asks for the whole screen.
    pub async fn request(&mut self, incremental: bool) -> io::Result<()> {
        let mut message = vec![3, u8::from(incremental), 0, 0, 0, 0];
        message.extend(self.width.to_be_bytes());
        message.extend(self.height.to_be_bytes());
        self.send(&message).await
    }

    /// Presses or releases a key.
    pub async fn key(&mut self, keysym: u32, down: bool) -> io::Result<()> {
        let mut message = vec![4, u8::from(down), 0, 0];
        message.extend(keysym.to_be_bytes());
        self.send(&message).await
    }

    /// Moves the pointer, with buttons by mask.
    pub async fn pointer(&mut self, x: u16, y: u16, mask: u8) -> io::Result<()> {
        let mut message = vec![5, mask];
        message.extend(x.to_be_bytes());
        message.extend(y.to_be_bytes());
        self.send(&message).await
    }

    /// Takes messages until one framebuffer update was drawn; returns how many rectangles it had.
    pub async fn update(&mut self) -> io::Result<u16> {
        loop {
            match self.stream.read_u8().await? {
                0 => return self.draw().await,
                1 => {
                    let mut head = [0; 5];
                    self.stream.read_exact(&mut head).await?;
                    let colours = u16::from_be_bytes([head[3], head[4]]);
                    self.skip(usize::from(colours) * 6).await?;
                }
                2 => {} // bell
                3 => {
                    self.skip(3).await?;
                    let length = self.stream.read_u32().await?;
                    self.skip(length as usize).await?;
                }
                other => panic!("server message {other}"),
            }
        }
    }

    /// Takes messages until the server tells of a text that was copied, and gives it.
    pub async fn cut_text(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.stream.read_u8().await? {
                2 => {} // bell
                3 => {
                    self.skip(3).await?;
                    let length = self.stream.read_u32().await?;
                    let mut text = vec![0; length as usize];
                    self.stream.read_exact(&mut text).await?;
                    return Ok(text);
                }
                other => panic!("server message {other}"),
            }
        }
    }

    /// Tells the server of an ASCII text that was copied here.
    pub async fn copy(&mut self, text: &str) -> io::Result<()> {
        let length = u32::try_from(text.len()).expect("a short text");
        let mut message = vec![6, 0, 0, 0];
        message.extend(length.to_be_bytes());
        message.extend(text.as_bytes());
        self.send(&message).await
    }

    async fn skip(&mut self, length: usize) -> io::Result<()> {
        let mut scrap = vec![0; length];
        self.stream.read_exact(&mut scrap).await.map(drop)
    }

    async fn draw(&mut self) -> io::Result<u16> {
        self.skip(1).await?;
        let count = self.stream.read_u16().await?;
        for _ in 0..count {
            let mut area = [0; 4];
            for number in &mut area {
                *number = usize::from(self.stream.read_u16().await?);
            }
            let [x, y, width, height] = area;
            match self.stream.read_i32().await? {
                RAW => self.draw_raw(x, y, width, height).await?,
                DESKTOP_SIZE => {
                    self.width = u16::try_from(width).expect("it was one");
                    self.height = u16::try_from(height).expect("it was one");
                    self.pixels = vec![0; width * height];
                }
                other => panic!("encoding {other} was not asked for"),
            }
        }
        Ok(count)
    }

    async fn draw_raw(
        &mut self,
        x: usize,
        y: usize,
        width: usize,
        height: usize,
    ) -> io::Result<()> {
        let mut row = vec![0; width * 4];
        for line in y..y + height {
            self.stream.read_exact(&mut row).await?;
            let start = line * usize::from(self.width) + x;
            for (pixel, bytes) in self.pixels[start..].iter_mut().zip(row.chunks_exact(4)) {
                *pixel = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
            }
        }
        Ok(())
    }
}
