//! Children: the only place that starts a process; its handle ([`Process`]) waits for it and ends it.
//!
//! A [`Process`] is a pid with a pidfd and a start time, so that it never means another process that got the same
//! number later. It stands for a child of ours as well as for one that an earlier daemon started (adopted): both are
//! waited for by the pidfd; the first is reaped, by its own pid and never by "any child". Which children are ours to wait
//! for is noted while they are made, so that the reaper of orphans never takes one ([`with_owned`]).

mod process;
pub mod setup;

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, MutexGuard},
};

use nix::libc;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

pub use self::process::{Ending, Exit, Process, Status};
use self::setup::Setup;
use super::limits;

/// Children that have a [`Process`], from before their fork to after their reaping. Held for a fork, which takes a
/// millisecond, or for one system call; never across an await.
static OWNED: Mutex<Option<HashSet<i32>>> = Mutex::new(None);

fn owned() -> MutexGuard<'static, Option<HashSet<i32>>> {
    OWNED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs `work` with the question whether a child has a [`Process`] that will reap it; none is started or reaped
/// meanwhile.
pub fn with_owned<T>(work: impl FnOnce(&dyn Fn(i32) -> bool) -> T) -> T {
    let owned = owned();
    work(&|pid| owned.as_ref().is_some_and(|all| all.contains(&pid)))
}

/// What to start: program, arguments, the whole environment, files. Nothing is inherited but what is named here.
#[derive(Debug)]
pub struct Spec {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    name: Option<OsString>,
    directory: Option<PathBuf>,
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    errors: Option<OwnedFd>,
    passed: Vec<OwnedFd>,
    setup: Setup,
}

/// The process did not come to be.
#[derive(Debug, thiserror::Error)]
#[error("failed to start {}", program.display())]
pub struct StartError {
    /// What was to be started.
    pub program: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Spec {
    /// A program without arguments, with an empty environment, and nothing at its standard files.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            name: None,
            directory: None,
            input: None,
            output: None,
            errors: None,
            passed: Vec::new(),
            setup: Setup::default(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, more: I) -> Self {
        self.arguments
            .extend(more.into_iter().map(|one| one.as_ref().to_owned()));
        self
    }

    /// Adds to the environment; the last one of a name counts.
    #[must_use]
    pub fn environment<'a>(
        mut self,
        more: impl IntoIterator<Item = &'a (OsString, OsString)>,
    ) -> Self {
        self.environment.extend(more.into_iter().cloned());
        self
    }

    /// Working directory; ours when not set.
    #[must_use]
    pub fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// What it is called in lists of processes; the program's path when not set.
    #[must_use]
    pub fn name(mut self, name: impl Into<OsString>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Standard input; the null device when not set.
    #[must_use]
    pub fn input(mut self, file: OwnedFd) -> Self {
        self.input = Some(file);
        self
    }

    /// Standard output. Files and not pipes, for what has to outlive whoever reads.
    #[must_use]
    pub fn output(mut self, file: impl Into<OwnedFd>) -> Self {
        self.output = Some(file.into());
        self
    }

    /// Standard error.
    #[must_use]
    pub fn errors(mut self, file: impl Into<OwnedFd>) -> Self {
        self.errors = Some(file.into());
        self
    }

    /// What the child changes about itself before the program runs.
    #[must_use]
    pub fn setup(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }

    /// A descriptor that the child keeps under the number it has here, which must be over 2. Ours is closed by
    /// [`Spec::start`].
    #[must_use]
    pub fn pass(mut self, descriptor: OwnedFd) -> Self {
        self.passed.push(descriptor);
        self
    }

    /// Starts it as leader of a session and a process group of its own, with an empty signal mask and default
    /// signals, and with no descriptors but its standard files and what was passed. It outlives us.
    ///
    /// Must be called on a tokio runtime. Returns when the program runs (after exec), or cannot.
    pub fn start(self) -> Result<Process, StartError> {
        let program = self.program.clone();
        self.spawn()
            .and_then(|pid| Process::of(pid, pidfd_open(pid, PidfdFlags::empty())?))
            .map_err(|source| StartError { program, source })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    #[expect(unsafe_code, reason = "work between fork and exec")]
    fn spawn(self) -> io::Result<Pid> {
        let file = |file: Option<OwnedFd>| file.map_or_else(Stdio::null, Stdio::from);
        let keep: Vec<RawFd> = self.passed.iter().map(AsRawFd::as_raw_fd).collect();
        let mut command = std::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment)
            .stdin(file(self.input))
            .stdout(file(self.output))
            .stderr(file(self.errors));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if let Some(name) = &self.name {
            command.arg0(name);
        }
        let setup = self.setup;
        let descriptors = limits::descriptors_before();
        // SAFETY: `prepare` makes system calls only: no allocation, no lock, no log. The standard library has emptied
        // the signal mask before.
        unsafe {
            command.pre_exec(move || prepare(&keep, descriptors, &setup));
        }
        // Held over the fork: the reaper of orphans must not see the child before it is known as ours.
        let mut owned = owned();
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).expect("a pid fits");
        owned.get_or_insert_default().insert(pid);
        Ok(Pid::from_raw(pid).expect("a child has a pid"))
    }
}

/// Runs between fork and exec.
#[expect(unsafe_code, reason = "system calls after fork")]
fn prepare(keep: &[RawFd], descriptors: Option<(u64, u64)>, setup: &Setup) -> io::Result<()> {
    // SAFETY: plain system calls on numbers; the descriptors in `keep` are open, because the `Spec` holds them until
    // `Command::spawn` has returned.
    unsafe {
        if libc::setsid() < 0 {
            return Err(io::Error::last_os_error());
        }
        // All there are: an ignored one would stay ignored in the program. Past the C library, which keeps two of them
        // for itself. KILL and STOP refuse, which is fine.
        let default = [0_u64; 4]; // handler SIG_DFL, no flags, no restorer, empty mask
        for signal in 1..=64 {
            let nothing = std::ptr::null::<libc::c_void>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                nothing,
                8_usize,
            );
        }
        // The daemon's limit is higher than what programs expect: `select(2)` breaks above 1024.
        if let Some((soft, hard)) = descriptors {
            let limit = libc::rlimit {
                rlim_cur: soft,
                rlim_max: hard,
            };
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
        // Our own descriptors are close-on-exec; this is for what we were started with. Kernels before 5.11 lack it.
        libc::close_range(
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC.cast_signed(),
        );
        for descriptor in keep {
            if libc::fcntl(*descriptor, libc::F_SETFD, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    setup.apply()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, time::Duration};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Spec {
        Spec::new("/bin/sh").arguments(["-c", script])
    }

    async fn ending(process: &Process) -> Ending {
        tokio::time::timeout(PATIENCE, process.wait())
            .await
            .expect("the process ends in time")
    }

    #[tokio::test]
    async fn every_ending_has_a_name() {
        let exited = shell("exit 3").start().expect("sh");
        assert_eq!(ending(&exited).await, Ending::Exited(3));
        assert_eq!(exited.wait().await, Ending::Exited(3), "asked again");
        let killed = shell("kill -9 $$").start().expect("sh");
        assert_eq!(ending(&killed).await, Ending::Signalled(9));
        let missing = Spec::new("/nowhere/program")
            .start()
            .expect_err("no such file");
        assert_eq!(missing.source.kind(), io::ErrorKind::NotFound);
        assert!(missing.to_string().contains("/nowhere/program"));
    }

    #[tokio::test]
    async fn stop_asks_first_and_kills_after_the_grace() {
        let polite = Spec::new("/bin/sleep")
            .arguments(["1000"])
            .start()
            .expect("sleep");
        let how = polite.stop(PATIENCE, std::future::pending()).await;
        assert_eq!(how, Ending::Stopped);
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let number = writer.as_raw_fd();
        let deaf = shell(&format!(
            "trap '' TERM; echo x >/proc/self/fd/{number}; while :; do read x; done < /dev/zero"
        ))
        .pass(writer.into())
        .start()
        .expect("sh");
        reader.read_exact(&mut [0; 2]).expect("the trap is set");
        let how = deaf
            .stop(Duration::from_millis(1), std::future::pending())
            .await;
        assert_eq!(how, Ending::Killed);
    }

    #[tokio::test]
    async fn stop_ends_the_grandchildren() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let number = writer.as_raw_fd();
        let script = format!("sleep 1000 & echo $! >/proc/self/fd/{number}; wait");
        let leader = shell(&script).pass(writer.into()).start().expect("sh");
        let mut text = [0; 32];
        let length = reader.read(&mut text).expect("the grandchild's pid");
        let pid: i32 = std::str::from_utf8(&text[..length])
            .expect("digits")
            .trim()
            .parse()
            .expect("a pid");
        let grandchild = Process::adopt(pid, None).expect("it runs");
        leader.stop(PATIENCE, std::future::pending()).await;
        assert_eq!(ending(&grandchild).await, Ending::Gone);
    }

    #[tokio::test]
    async fn only_what_is_named_is_inherited() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let number = writer.as_raw_fd();
        let environment = [("A".into(), "1".into())];
        let script = format!("{{ env; ls /proc/self/fd | wc -l; }} >/proc/self/fd/{number}");
        let child = shell(&script)
            .environment(&environment)
            .pass(writer.into())
            .start()
            .expect("sh");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("its answer");
        assert_eq!(ending(&child).await, Ending::Exited(0));
        assert!(text.contains("A=1") && !text.contains("CARGO"), "{text}");
        // 0, 1, 2, the passed one, and the folder that ls reads.
        assert_eq!(text.lines().last(), Some("5"), "{text}");
    }

    #[tokio::test]
    async fn a_pid_of_another_time_is_not_adopted() {
        let child = Spec::new("/bin/sleep")
            .arguments(["1000"])
            .start()
            .expect("sleep");
        assert!(Process::adopt(child.pid(), Some(child.started())).is_some());
        assert!(Process::adopt(child.pid(), Some(child.started() + 1)).is_none());
        child.stop(PATIENCE, std::future::pending()).await;
        assert!(Process::adopt(child.pid(), Some(child.started())).is_none());
    }
}
