//! The handshake (RFC 6143 §7.1 to §7.3): followed on both halves, changed on neither.
//!
//! ```text
//! server: Version ─> Security ─> [Challenge] ─> [Result] ─> Init ─> Name ─> Done
//!                        └──────────────────────────┴─> Reason ─> Refused
//! client: Version ─> [Security] ─> [Response] ─> Init ─> Done
//! ```
//!
//! In brackets: with version 3.3 the server chooses the security type; `Result` comes with `VncAuth`, and from
//! 3.8 on always. Each half is read before it is forwarded, so what a side answers to is always known here.

use super::{CodecError, Side, message::long};

/// Most bytes of a refusal's reason that are kept.
const REASON_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V33,
    V37,
    V38,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    None,
    VncAuth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Version,
    Security,
    Response,
    Init,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Version,
    /// The list's length (3.7, 3.8) or the type itself (3.3), by the client's version.
    Security,
    SecurityList,
    /// What comes next depends on the client's choice.
    Chosen,
    Challenge,
    Result,
    ReasonLength,
    Reason,
    Init,
    Name,
    Done,
    Refused,
}

/// A field of known length that may arrive in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct Field {
    bytes: [u8; 24],
    length: usize,
}

impl Field {
    /// Moves bytes from `input` until `needed` are there, then gives them and begins anew.
    fn fill(&mut self, input: &mut &[u8], needed: usize) -> Option<[u8; 24]> {
        let (taken, rest) = input.split_at(input.len().min(needed - self.length));
        self.bytes[self.length..][..taken.len()].copy_from_slice(taken);
        self.length += taken.len();
        *input = rest;
        (self.length == needed).then(|| std::mem::take(self).bytes)
    }
}

/// Both halves of a handshake. Each half is fed in order; the other half's state decides what is expected.
#[derive(Debug)]
pub struct Handshake {
    client: Client,
    server: Server,
    client_field: Field,
    server_field: Field,
    offered: Option<Version>,
    version: Option<Version>,
    security: Option<Security>,
    skip: u32,
    reason: Vec<u8>,
}

impl Default for Handshake {
    fn default() -> Self {
        Self {
            client: Client::Version,
            server: Server::Version,
            client_field: Field::default(),
            server_field: Field::default(),
            offered: None,
            version: None,
            security: None,
            skip: 0,
            reason: Vec::new(),
        }
    }
}

impl Handshake {
    /// Reads the client's bytes; returns how many belong to the handshake. Fewer than given means that this
    /// half is over and the rest are messages.
    pub fn read_client(&mut self, input: &[u8]) -> Result<usize, CodecError> {
        let mut rest = input;
        while !rest.is_empty() && self.client != Client::Done {
            self.client_step(&mut rest)?;
        }
        Ok(input.len() - rest.len())
    }

    /// Reads the server's bytes; returns how many belong to the handshake.
    pub fn read_server(&mut self, input: &[u8]) -> Result<usize, CodecError> {
        let mut rest = input;
        while !rest.is_empty() && !self.server_is_over() {
            self.server_step(&mut rest)?;
        }
        Ok(input.len() - rest.len())
    }

    /// Whether the client has sent its last byte of the handshake.
    pub fn client_is_over(&self) -> bool {
        self.client == Client::Done
    }

    /// Whether the server has sent its last byte of the handshake, or has refused.
    pub fn server_is_over(&self) -> bool {
        matches!(self.server, Server::Done | Server::Refused)
    }

    /// The server's reason when it refused; empty when it gave none. At most 256 bytes of it are kept.
    pub fn refusal(&self) -> Option<String> {
        matches!(self.server, Server::Reason | Server::Refused)
            .then(|| String::from_utf8_lossy(&self.reason).into_owned())
    }

    fn client_step(&mut self, rest: &mut &[u8]) -> Result<(), CodecError> {
        match self.client {
            Client::Version => {
                if let Some(field) = self.client_field.fill(rest, 12) {
                    self.client = self.choose_version(&field[..12])?;
                }
            }
            Client::Security => {
                if let Some(field) = self.client_field.fill(rest, 1) {
                    self.client = self.choose_security(field[0].into())?;
                }
            }
            Client::Response => {
                if self.client_field.fill(rest, 16).is_some() {
                    self.client = Client::Init;
                }
            }
            Client::Init => {
                // With 3.3 the client has nothing to say before the server has named the security type.
                if self.version == Some(Version::V33) && self.security.is_none() {
                    return Err(CodecError::OutOfTurn { side: Side::Client });
                }
                if self.client_field.fill(rest, 1).is_some() {
                    self.client = Client::Done;
                }
            }
            Client::Done => {}
        }
        Ok(())
    }

    /// Only the three versions of RFC 6143 §7.1.1, and none above the server's.
    fn choose_version(&mut self, text: &[u8]) -> Result<Client, CodecError> {
        let (version, next) = match text {
            b"RFB 003.003\n" => (Version::V33, Client::Init),
            b"RFB 003.007\n" => (Version::V37, Client::Security),
            b"RFB 003.008\n" => (Version::V38, Client::Security),
            _ => return Err(bad_version(Side::Client, text)),
        };
        match self.offered {
            None => Err(CodecError::OutOfTurn { side: Side::Client }),
            Some(offered) if offered < version => Err(bad_version(Side::Client, text)),
            Some(_) => {
                self.version = Some(version);
                Ok(next)
            }
        }
    }

    fn choose_security(&mut self, security_type: u32) -> Result<Client, CodecError> {
        let (security, next) = match security_type {
            1 => (Security::None, Client::Init),
            2 => (Security::VncAuth, Client::Response),
            security_type => return Err(CodecError::Security { security_type }),
        };
        self.security = Some(security);
        Ok(next)
    }

    fn server_step(&mut self, rest: &mut &[u8]) -> Result<(), CodecError> {
        match self.server {
            Server::Version => {
                if let Some(field) = self.server_field.fill(rest, 12) {
                    self.offered = Some(offered_version(&field[..12])?);
                    self.server = Server::Security;
                }
            }
            Server::Security => self.read_security(rest)?,
            Server::Chosen => self.server = self.after_choice()?,
            Server::Challenge => {
                if self.server_field.fill(rest, 16).is_some() {
                    self.server = Server::Result;
                }
            }
            Server::Result => {
                if let Some(field) = self.server_field.fill(rest, 4) {
                    self.server = self.after_result(long(&field, 0));
                }
            }
            Server::ReasonLength => {
                if let Some(field) = self.server_field.fill(rest, 4) {
                    self.skip_then(long(&field, 0), Server::Reason, Server::Refused);
                }
            }
            Server::Init => {
                if let Some(field) = self.server_field.fill(rest, 24) {
                    self.skip_then(long(&field, 20), Server::Name, Server::Done);
                }
            }
            Server::SecurityList => self.pass(rest, Server::Chosen),
            Server::Reason => {
                let wanted = (self.skip as usize).min(REASON_MAX - self.reason.len());
                self.reason.extend(rest.iter().take(wanted));
                self.pass(rest, Server::Refused);
            }
            Server::Name => self.pass(rest, Server::Done),
            Server::Done | Server::Refused => {}
        }
        Ok(())
    }

    fn read_security(&mut self, rest: &mut &[u8]) -> Result<(), CodecError> {
        match self.version {
            None => return Err(CodecError::OutOfTurn { side: Side::Server }),
            Some(Version::V33) => {
                if let Some(field) = self.server_field.fill(rest, 4) {
                    self.server = self.impose_security(long(&field, 0))?;
                }
            }
            Some(Version::V37 | Version::V38) => {
                if let Some(field) = self.server_field.fill(rest, 1) {
                    self.skip_then(field[0].into(), Server::SecurityList, Server::ReasonLength);
                }
            }
        }
        Ok(())
    }

    /// With 3.3 the server's word decides for both sides; 0 is a refusal.
    fn impose_security(&mut self, security_type: u32) -> Result<Server, CodecError> {
        if security_type == 0 {
            return Ok(Server::ReasonLength);
        }
        self.client = self.choose_security(security_type)?;
        Ok(match self.security {
            Some(Security::VncAuth) => Server::Challenge,
            Some(Security::None) | None => Server::Init,
        })
    }

    /// With 3.7 there is no result after `None` (RFC 6143 appendix A).
    fn after_choice(&self) -> Result<Server, CodecError> {
        match (self.security, self.version) {
            (None, _) => Err(CodecError::OutOfTurn { side: Side::Server }),
            (Some(Security::VncAuth), _) => Ok(Server::Challenge),
            (Some(Security::None), Some(Version::V38)) => Ok(Server::Result),
            (Some(Security::None), _) => Ok(Server::Init),
        }
    }

    /// Only 3.8 gives a reason after a failed result.
    fn after_result(&self, result: u32) -> Server {
        match (result, self.version) {
            (0, _) => Server::Init,
            (_, Some(Version::V38)) => Server::ReasonLength,
            (_, _) => Server::Refused,
        }
    }

    fn skip_then(&mut self, length: u32, through: Server, empty: Server) {
        self.skip = length;
        self.server = if length > 0 { through } else { empty };
    }

    /// Counts bytes that nobody here needs.
    fn pass(&mut self, rest: &mut &[u8], next: Server) {
        let taken = u32::try_from(rest.len()).unwrap_or(u32::MAX).min(self.skip);
        *rest = &rest[taken as usize..];
        self.skip -= taken;
        if self.skip == 0 {
            self.server = next;
        }
    }
}

/// The protocol a server's greeting stands for. Versions between and above are read as the client programs
/// read them: `UltraVNC`'s 3.4 and 3.6 are 3.3; Apple's 3.889 and the 4.x and 5.x of others are 3.8.
fn offered_version(text: &[u8]) -> Result<Version, CodecError> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.iter().all(u8::is_ascii_digit).then_some(())?;
        std::str::from_utf8(digits).ok()?.parse::<u16>().ok()
    };
    let numbers = number(4..7).zip(number(8..11));
    let framed = text.starts_with(b"RFB ") && text[7] == b'.' && text[11] == b'\n';
    match numbers.filter(|_| framed) {
        Some((3, 3..=6)) => Ok(Version::V33),
        Some((3, 7)) => Ok(Version::V37),
        Some((3, 8..) | (4.., _)) => Ok(Version::V38),
        _ => Err(bad_version(Side::Server, text)),
    }
}

fn bad_version(side: Side, text: &[u8]) -> CodecError {
    CodecError::Version {
        side,
        version: text.escape_ascii().to_string(),
    }
}
