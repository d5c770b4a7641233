//! What a child changes about itself between fork and exec: terminal, mask, limits, priority, user.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    libc,
    unistd::{Gid, Uid, User, getgrouplist},
};

/// Changes a child makes to itself before the program runs. Nothing by default.
#[derive(Debug, Default)]
pub struct Setup {
    /// Its standard input is a terminal, which becomes the controlling one.
    pub terminal: bool,
    /// Mode bits that its new files lack.
    pub umask: Option<u32>,
    /// Resource limits.
    pub limits: Vec<(Limit, u64)>,
    /// Absolute nice value; a refused one is told and dropped.
    pub nice: Option<i32>,
    /// Value for `oom_score_adj`; a refused one is told and dropped.
    pub oom_score: Option<i32>,
    /// `cgroup.procs` of the groups it moves to.
    pub groups: Vec<OwnedFd>,
    /// Whether it must not run outside of them: they have limits.
    pub only_inside: bool,
    /// Where it writes what was refused of the rest: the letter of each [`Adjustment`]. Must not block.
    pub refusals: Option<OwnedFd>,
    /// Who it becomes.
    pub user: Option<Account>,
}

/// A resource limit of one process (setrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of address space.
    AddressSpace,
    /// Seconds of CPU time: XCPU at the limit, KILL one second later.
    Cpu,
    /// Open descriptors.
    Descriptors,
}

/// What a program is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// The control group for its members.
    Group,
    /// Being nicer than the daemon.
    Nice,
    /// Being killed before the daemon when memory runs out.
    OomScore,
    /// A limit, without which it does not run.
    Limit(Limit),
}

impl Adjustment {
    /// All of them.
    const ALL: [Self; 6] = [
        Self::Group,
        Self::Nice,
        Self::OomScore,
        Self::Limit(Limit::AddressSpace),
        Self::Limit(Limit::Cpu),
        Self::Limit(Limit::Descriptors),
    ];

    const fn letter(self) -> u8 {
        match self {
            Self::Group => b'g',
            Self::Nice => b'n',
            Self::OomScore => b'o',
            Self::Limit(Limit::AddressSpace) => b'a',
            Self::Limit(Limit::Cpu) => b'c',
            Self::Limit(Limit::Descriptors) => b'd',
        }
    }

    /// What the letters mean that a child has written.
    pub fn told(letters: &[u8]) -> Vec<Self> {
        let all = Self::ALL.into_iter();
        all.filter(|one| letters.contains(&one.letter())).collect()
    }
}

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its own group.
    pub gid: u32,
    /// All its groups.
    pub groups: Vec<u32>,
    /// Its home.
    pub home: std::path::PathBuf,
    /// Its login shell; `/bin/sh` when it has none.
    pub shell: std::path::PathBuf,
}

impl Account {
    /// The account with this name, or this number in digits. `None` when there is none.
    pub fn find(name: &str) -> Option<Self> {
        let by_name = User::from_name(name).ok().flatten();
        let user = by_name.or_else(|| {
            let uid = name.parse().ok()?;
            User::from_uid(Uid::from_raw(uid)).ok().flatten()
        })?;
        Some(Self::of(user))
    }

    /// The account that this process runs as. `None` when the system has no entry for it.
    pub fn own() -> Option<Self> {
        User::from_uid(nix::unistd::geteuid())
            .ok()
            .flatten()
            .map(Self::of)
    }

    fn of(user: User) -> Self {
        let name = CString::new(user.name.as_str()).unwrap_or_default();
        let groups = getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
        let shell = if user.shell.as_os_str().is_empty() {
            "/bin/sh".into()
        } else {
            user.shell
        };
        Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
            home: user.dir,
            shell,
        }
    }
}

/// Our own user, by its number.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Whether this process may become another user.
pub fn may_switch_user() -> bool {
    nix::unistd::geteuid().is_root()
}

impl Setup {
    /// Runs between fork and exec: system calls only, no allocation, no lock.
    pub(super) fn apply(&self) -> io::Result<()> {
        for group in &self.groups {
            match write(group.as_raw_fd(), b"0") {
                Err(error) if self.only_inside => return Err(error),
                // It stays where it was: its group and session still tell whose it is.
                Err(_) => self.refuse(Adjustment::Group),
                Ok(()) => {}
            }
        }
        if self.terminal {
            controlling_terminal()?;
        }
        if let Some(mask) = self.umask {
            umask(mask);
        }
        if let Some(score) = self.oom_score
            && set_oom_score(score).is_err()
        {
            self.refuse(Adjustment::OomScore);
        }
        if let Some(nice) = self.nice
            && set_nice(nice).is_err()
        {
            self.refuse(Adjustment::Nice);
        }
        for (limit, value) in &self.limits {
            if let Err(error) = set_limit(*limit, *value) {
                self.refuse(Adjustment::Limit(*limit));
                return Err(error);
            }
        }
        match &self.user {
            Some(account) => become_user(account),
            None => Ok(()),
        }
    }

    fn refuse(&self, what: Adjustment) {
        if let Some(end) = &self.refusals {
            let _ = write(end.as_raw_fd(), &[what.letter()]);
        }
    }
}

fn checked(answer: libc::c_int) -> io::Result<()> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[expect(unsafe_code, reason = "a system call after fork")]
fn write(descriptor: i32, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length are of a live slice.
    let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
    if written < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[expect(unsafe_code, reason = "a system call after fork")]
fn controlling_terminal() -> io::Result<()> {
    // SAFETY: a system call on numbers; this process has just become leader of a session without a terminal.
    checked(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })
}

#[expect(unsafe_code, reason = "a system call after fork")]
fn umask(mask: u32) {
    // SAFETY: umask(2) cannot fail and touches no memory.
    unsafe { libc::umask(mask) };
}

#[expect(unsafe_code, reason = "a system call after fork")]
fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: a system call on numbers.
    checked(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })
}

#[expect(unsafe_code, reason = "system calls after fork")]
fn set_oom_score(score: i32) -> io::Result<()> {
    const PATH: &CStr = c"/proc/self/oom_score_adj";
    let mut digits = [0_u8; 8];
    let text = decimal(score, &mut digits);
    // SAFETY: the path ends with a NUL; the descriptor is used and closed here alone.
    unsafe {
        let file = libc::open(PATH.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        checked(file)?;
        let written = write(file, text);
        libc::close(file);
        written
    }
}

/// Digits without an allocation, for -9999999 to 9999999.
fn decimal(value: i32, digits: &mut [u8; 8]) -> &[u8] {
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 || at == 1 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    &digits[at..]
}

#[expect(unsafe_code, reason = "a system call after fork")]
fn set_limit(limit: Limit, value: u64) -> io::Result<()> {
    let (resource, hard) = match limit {
        Limit::AddressSpace => (libc::RLIMIT_AS, value),
        Limit::Cpu => (libc::RLIMIT_CPU, value.saturating_add(1)),
        Limit::Descriptors => (libc::RLIMIT_NOFILE, value),
    };
    let new = libc::rlimit {
        rlim_cur: value,
        rlim_max: hard,
    };
    // SAFETY: the pointer is to a live value.
    checked(unsafe { libc::setrlimit(resource, &raw const new) })
}

#[expect(unsafe_code, reason = "system calls after fork")]
fn become_user(account: &Account) -> io::Result<()> {
    // The system calls themselves: the C library's wrappers would look for other threads, of which a forked child has
    // none, with a lock that one of them may have held.
    // SAFETY: the pointer and the length are of a live slice; the rest are numbers.
    unsafe {
        let groups = libc::syscall(
            libc::SYS_setgroups,
            account.groups.len(),
            account.groups.as_ptr(),
        );
        if groups < 0
            || libc::syscall(libc::SYS_setgid, account.gid) < 0
            || libc::syscall(libc::SYS_setuid, account.uid) < 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_digits() {
        for value in [0, 7, 998, 1000, -17, -1000] {
            let mut digits = [0; 8];
            assert_eq!(decimal(value, &mut digits), value.to_string().as_bytes());
        }
    }

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        let root = Account::find("root").expect("every system has it");
        assert_eq!((root.uid, root.name.as_str()), (0, "root"));
        assert_eq!(Account::find("0"), Some(root));
        assert_eq!(Account::find("nobody-has-this-name"), None);
        assert_eq!(Account::find(""), None);
    }

    #[tokio::test]
    async fn what_is_refused_is_told_and_the_program_runs() {
        use std::io::Read;
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let nowhere = std::fs::File::open("/dev/null").expect("it is there");
        let setup = Setup {
            // Beyond what the system takes.
            oom_score: Some(5000),
            groups: vec![nowhere.into()],
            refusals: Some(writer.into()),
            ..Setup::default()
        };
        let child = crate::sys::child::Spec::new("/bin/true")
            .setup(setup)
            .start();
        let ending = child.expect("it runs").wait().await;
        assert_eq!(ending, crate::sys::child::Ending::Exited(0));
        let mut letters = Vec::new();
        reader
            .read_to_end(&mut letters)
            .expect("nobody else writes");
        let told = Adjustment::told(&letters);
        assert_eq!(told, [Adjustment::Group, Adjustment::OomScore]);
    }

    #[tokio::test]
    async fn without_its_limits_it_does_not_run() {
        let nowhere = std::fs::File::open("/dev/null").expect("it is there");
        let setup = Setup {
            groups: vec![nowhere.into()],
            only_inside: true,
            ..Setup::default()
        };
        let child = crate::sys::child::Spec::new("/bin/true")
            .setup(setup)
            .start();
        assert!(child.is_err());
    }
}
