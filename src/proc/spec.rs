//! What a start asks for, checked.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Text for a shell.
    Shell {
        /// The text.
        command: String,
        /// By the user's login shell.
        login: bool,
    },
    /// A program with its arguments, itself the first; never empty.
    Direct {
        /// As they are.
        argv: Vec<String>,
    },
}

/// A terminal for the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// 1 to 4096.
    pub rows: u16,
    /// 1 to 4096.
    pub columns: u16,
    /// Value of `TERM`.
    pub term: String,
}

/// What a process may use. `None` takes the configured default, which may be none, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all members together; without control groups the address space of each.
    pub memory_bytes: Option<u64>,
    /// CPU time of each member.
    pub cpu_seconds: Option<u64>,
    /// Number of members; refused where no control group can count them.
    pub pids: Option<u64>,
    /// Open descriptors of each member.
    pub nofile: Option<u64>,
}

impl Limits {
    /// These, and what they leave out from `defaults`.
    #[must_use]
    pub fn or(self, defaults: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.or(defaults.memory_bytes),
            cpu_seconds: self.cpu_seconds.or(defaults.cpu_seconds),
            pids: self.pids.or(defaults.pids),
            nofile: self.nofile.or(defaults.nofile),
        }
    }
}

/// Who asks: a chat with those above it, or nobody in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The chat.
    pub chat: Option<Uuid>,
    /// Chats above it.
    pub ancestors: Vec<Uuid>,
    /// Chats below it, as far as is known now: it sees what is theirs.
    pub descendants: HashSet<Uuid>,
}

impl Caller {
    /// Whether a process of this chat, started with these above it, is of one below the caller's.
    pub fn is_above(&self, chat: Uuid, owner: Option<Uuid>, ancestors: &[Uuid]) -> bool {
        ancestors.contains(&chat) || owner.is_some_and(|owner| self.descendants.contains(&owner))
    }
}

/// A start as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The id that the process shall have; any when there is none. Never that of another start.
    pub id: Option<Uuid>,
    /// What.
    pub program: Program,
    /// Where; empty takes the default.
    pub workdir: String,
    /// Added to the environment.
    pub env: BTreeMap<String, String>,
    /// Reported back.
    pub background: bool,
    /// Start at most once.
    pub token: Option<String>,
    /// Standard input is a pipe and not the null device.
    pub stdin_pipe: bool,
    /// Standard error is kept apart.
    pub separate: bool,
    /// Standard files are a terminal.
    pub terminal: Option<Terminal>,
    /// Time limit; 0 is none.
    pub timeout_ms: Option<u64>,
    /// Another user.
    pub user: Option<String>,
    /// Limits.
    pub limits: Limits,
}

impl Request {
    /// Digest of all that a second start of a token must share, the chat included.
    pub fn fingerprint(&self, caller: &Caller) -> String {
        let Self {
            id: _,
            program,
            workdir,
            env,
            background,
            token: _,
            stdin_pipe,
            separate,
            terminal,
            timeout_ms,
            user,
            limits,
        } = self;
        let timeout_ms = timeout_ms.filter(|limit| *limit > 0);
        // Debug text quotes every string, so no two requests have the same.
        let text = format!(
            "{:?}",
            (
                (caller.chat, program, workdir, env, background),
                (stdin_pipe, separate, terminal, timeout_ms, user, limits)
            )
        );
        Sha256::digest(text.as_bytes())
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }
}

/// Arguments as a person would type them to a shell.
pub fn quoted(argv: &[String]) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@%+,".contains(letter);
    let quote = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(command: &str) -> Request {
        Request {
            id: None,
            program: Program::Shell {
                command: command.to_owned(),
                login: false,
            },
            workdir: String::new(),
            env: BTreeMap::new(),
            background: false,
            token: Some("t".to_owned()),
            stdin_pipe: false,
            separate: false,
            terminal: None,
            timeout_ms: None,
            user: None,
            limits: Limits::default(),
        }
    }

    #[test]
    fn a_fingerprint_has_all_but_the_token() {
        let nobody = Caller::default();
        let first = request("a");
        let same = Request {
            token: None,
            timeout_ms: Some(0),
            ..first.clone()
        };
        assert_eq!(first.fingerprint(&nobody), same.fingerprint(&nobody));
        let others = [
            request("b"),
            Request {
                background: true,
                ..first.clone()
            },
            Request {
                env: [("A".to_owned(), "1".to_owned())].into(),
                ..first.clone()
            },
            Request {
                workdir: "/".to_owned(),
                ..first.clone()
            },
        ];
        for other in others {
            assert_ne!(first.fingerprint(&nobody), other.fingerprint(&nobody));
        }
        let chat = Caller {
            chat: Some(Uuid::from_u128(1)),
            ..Caller::default()
        };
        assert_ne!(first.fingerprint(&nobody), first.fingerprint(&chat));
    }

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        let argv = ["printf", "a b", "", "it's", "$HOME\n"].map(str::to_owned);
        assert_eq!(quoted(&argv), "printf 'a b' '' 'it'\\''s' '$HOME\n'");
    }
}
