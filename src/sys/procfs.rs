//! What `/proc` says about processes: who they are, who started them, what their environment holds.

use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Clock ticks in a second, as `/proc/PID/stat` counts; the kernel's interface fixes it (`USER_HZ`).
const TICKS: u64 = 100;

/// The lines of `/proc/PID/stat` that tell processes apart (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: i32,
    /// Who started it, or who took it over.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Ticks from boot to its start: with the pid, a name that is never used again.
    pub started: u64,
    /// Ended, and not yet reaped.
    pub zombie: bool,
}

/// The process with this id; `None` when there is none.
pub fn stat(pid: i32) -> Option<Stat> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name of the program stands in parentheses and may hold anything, so the fields are counted from the last one.
fn parse(pid: i32, text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let started = fields.nth(15)?.parse().ok()?;
    Some(Stat {
        pid,
        parent,
        group,
        session,
        started,
        zombie,
    })
}

/// The user that we are.
pub fn our_user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The user who owns the local end `local` of the TCP connection to `remote`, both on this machine: the lines of
/// `/proc/net/tcp` (proc(5)). `None` when there is no such connection, or the table cannot be read.
pub fn owner_of_connection(local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let table = if local.is_ipv4() {
        "/proc/net/tcp"
    } else {
        "/proc/net/tcp6"
    };
    let ends = [table_address(local), table_address(remote)];
    let lines = fs::read_to_string(table).ok()?;
    lines.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let same = ends.iter().all(|end| fields.next() == Some(end.as_str()));
        same.then(|| fields.nth(4)?.parse().ok()).flatten()
    })
}

/// An address as the tables write it: words of four bytes in the machine's order, then the port.
fn table_address(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| {
        let word = u32::from_ne_bytes(word.try_into().expect("four bytes"));
        format!("{word:08X}")
    });
    format!("{}:{:04X}", words.collect::<String>(), address.port())
}

/// When a process with this start time was started, on this process' clock; `None` before the clock's zero.
pub fn started_at(started: u64) -> Option<Instant> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    let started = Duration::from_millis(started.saturating_mul(1000 / TICKS));
    let age = Duration::try_from_secs_f64(seconds)
        .ok()?
        .saturating_sub(started);
    Instant::now().checked_sub(age)
}

/// Whether the environment that the process was started with has this entry (`NAME=value`). `false` when it is gone,
/// or another user's.
pub fn has_environment(pid: i32, entry: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|one| one == entry))
}

/// Every living process whose environment has this entry, and all that they started, whatever their environment says.
pub fn marked(entry: &[u8]) -> Vec<Stat> {
    let all = processes();
    let mut found: HashSet<i32> = all
        .iter()
        .filter(|stat| has_environment(stat.pid, entry))
        .map(|stat| stat.pid)
        .collect();
    loop {
        let before = found.len();
        for stat in &all {
            if found.contains(&stat.parent) {
                found.insert(stat.pid);
            }
        }
        if found.len() == before {
            break;
        }
    }
    let ours = i32::try_from(std::process::id()).ok();
    all.into_iter()
        .filter(|stat| found.contains(&stat.pid) && !stat.zombie && Some(stat.pid) != ours)
        .collect()
}

/// Every process there is, as far as we may see.
pub fn processes() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| stat(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// The working directories of all processes, as far as we may see.
pub fn working_directories() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbered = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        name.as_bytes().iter().all(u8::is_ascii_digit)
    };
    let entries = entries.flatten().filter(numbered);
    entries
        .filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok())
        .collect()
}

/// Our own nice value.
pub fn nice() -> i32 {
    // Priority and nice value stand beside each other in the stat line (proc(5)): fields 18 and 19.
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let nice = rest.split_ascii_whitespace().nth(16);
    nice.and_then(|nice| nice.parse().ok()).unwrap_or(0)
}

/// Our own `oom_score_adj`.
pub fn oom_score() -> i32 {
    let text = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// First executable file called `program`: itself when it holds a slash, otherwise in the folders of `path` (as `PATH`).
pub fn find_program(program: &Path, path: &[u8]) -> Option<PathBuf> {
    let executable = |file: &Path| {
        rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file()
    };
    if program.as_os_str().as_bytes().contains(&b'/') {
        return executable(program).then(|| program.to_owned());
    }
    path.split(|byte| *byte == b':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(std::ffi::OsStr::from_bytes(folder)).join(program))
        .find(|file| executable(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_connection_is_known() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("bound"));
        let client = client.expect("it listens");
        let (near, far) = (client.local_addr(), client.peer_addr());
        let (near, far) = (near.expect("connected"), far.expect("connected"));
        let us = nix::unistd::getuid().as_raw();
        assert_eq!(owner_of_connection(near, far), Some(us));
        let nobody = "127.0.0.1:1".parse().expect("an address");
        assert_eq!(owner_of_connection(nobody, far), None);
    }

    #[test]
    fn names_of_programs_may_hold_anything() {
        let text = "12 (a) S 3) Z 7 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let stat = parse(12, text).expect("a stat line");
        assert_eq!((stat.parent, stat.started, stat.zombie), (7, 4711, true));
        assert_eq!((stat.group, stat.session), (1, 1));
        assert_eq!(parse(12, "12 (a"), None);
        assert_eq!(parse(12, "12 (a) S"), None);
    }

    #[test]
    fn we_are_alive_and_have_started_in_the_past() {
        let pid = i32::try_from(std::process::id()).expect("a pid");
        let stat = stat(pid).expect("ourselves");
        assert!(!stat.zombie);
        assert!(started_at(stat.started).expect("since boot") <= Instant::now());
    }

    #[test]
    fn programs_are_found_by_path_or_in_the_folders() {
        let found = find_program(Path::new("sh"), b"/nowhere::/bin");
        assert_eq!(found.as_deref(), Some(Path::new("/bin/sh")));
        assert_eq!(find_program(Path::new("sh"), b"/nowhere"), None);
        assert!(find_program(Path::new("/bin/sh"), b"").is_some());
        assert_eq!(find_program(Path::new("/etc/passwd"), b""), None);
    }
}
