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
    /// Absolute nice value; refused ones are dropped.
    pub nice: Option<i32>,
    /// Value for `oom_score_adj`; a refused one is dropped.
    pub oom_score: Option<i32>,
    /// `cgroup.procs` of the group it moves to.
    pub cgroup: Option<OwnedFd>,
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

/// Whether this process may become another user.
pub fn may_switch_user() -> bool {
    nix::unistd::geteuid().is_root()
}

impl Setup {
    /// Runs between fork and exec: system calls only, no allocation, no lock.
    pub(super) fn apply(&self) -> io::Result<()> {
        if let Some(cgroup) = &self.cgroup {
            // Refused moves leave it where it was: its group and session still tell whose it is.
            let _ = write(cgroup.as_raw_fd(), b"0");
        }
        if self.terminal {
            controlling_terminal()?;
        }
        if let Some(mask) = self.umask {
            umask(mask);
        }
        if let Some(score) = self.oom_score {
            set_oom_score(score);
        }
        if let Some(nice) = self.nice {
            set_nice(nice);
        }
        for (limit, value) in &self.limits {
            set_limit(*limit, *value)?;
        }
        match &self.user {
            Some(account) => become_user(account),
            None => Ok(()),
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
fn set_nice(nice: i32) {
    // SAFETY: a system call on numbers. It may be refused, which is no reason not to run.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

#[expect(unsafe_code, reason = "system calls after fork")]
fn set_oom_score(score: i32) {
    const PATH: &CStr = c"/proc/self/oom_score_adj";
    let mut digits = [0_u8; 8];
    let text = decimal(score, &mut digits);
    // SAFETY: the path ends with a NUL; the descriptor is used and closed here alone.
    unsafe {
        let file = libc::open(PATH.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file >= 0 {
            let _ = write(file, text);
            libc::close(file);
        }
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
}
