//! Control groups (cgroups(7)): who a process started, however far away it went, and what all of them may use.
//!
//! Below our own group of version 2 we make one folder, and in it one for each process. A group without limits is for
//! membership alone: which processes there are, and killing them all at once. Groups with limits are in a second folder,
//! because there each costs the kernel the bookkeeping of every controller. Where no group can be made (a read-only
//! mount, another user's), there is none.
//!
//! Controllers reach a folder only from a group that holds no process itself, unless it is the root of all. So our programs move to
//! a leaf when nobody else lives in our group. Where the controller of numbers of processes is one of version 1, it is used from
//! there.

mod limits;

use std::{
    fs::{self, OpenOptions},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use self::limits::Limiter;
use super::procfs;

/// Before the name of the one whose folder it is.
const PREFIX: &str = "deskd-keeper-";

/// Our folder. Removed when dropped, as far as it is empty.
#[derive(Debug)]
pub struct Tree {
    folder: PathBuf,
    limiter: Limiter,
}

impl Tree {
    /// Makes our folder, and ends what is left in those of others that are dead. `None` where that cannot be done.
    pub fn open() -> Option<Self> {
        let own = own_group(
            &fs::read_to_string("/proc/self/cgroup").ok()?,
            &fs::read_to_string("/proc/self/mountinfo").ok()?,
        )?;
        sweep(&own);
        let folder = own.join(folder_name(PREFIX));
        fs::create_dir(&folder).ok()?;
        Some(Self {
            folder,
            limiter: Limiter::new(own),
        })
    }

    /// A group for one process. Names are used once.
    pub fn group(&self, name: &str) -> io::Result<Group> {
        Group::make(self.folder.join(name))
    }

    /// A group whose members together have so much memory, and so many processes; what cannot be had is not applied, and
    /// [`Group::limits`] tells. The first call looks for what there is.
    pub fn limited(&self, name: &str, memory: Option<u64>, pids: Option<u64>) -> io::Result<Group> {
        match self.limiter.group(name, memory, pids) {
            Some(group) => Ok(group),
            None => self.group(name),
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Which limits a group has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Memory of all members together.
    pub memory: bool,
    /// Number of members.
    pub pids: bool,
}

/// The group of one process. Its folder is removed when dropped, unless somebody lives there.
#[derive(Debug)]
pub struct Group {
    folder: PathBuf,
    /// The one of version 1 that counts processes.
    counter: Option<PathBuf>,
    limits: Applied,
}

impl Group {
    fn make(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir(&folder)?;
        Ok(Self {
            folder,
            counter: None,
            limits: Applied::default(),
        })
    }

    /// Which limits it has.
    pub fn limits(&self) -> Applied {
        self.limits
    }

    /// Whoever writes `0` to all of these moves there.
    pub fn entrances(&self) -> io::Result<Vec<OwnedFd>> {
        let folders = [Some(&self.folder), self.counter.as_ref()];
        let open = |folder: &PathBuf| {
            let mut file = OpenOptions::new();
            file.write(true);
            file.open(folder.join("cgroup.procs")).map(OwnedFd::from)
        };
        folders.into_iter().flatten().map(open).collect()
    }

    /// Kills all that are in it and below it, in one step (Linux 5.14). An error where the kernel cannot.
    pub fn kill(&self) -> io::Result<()> {
        kill(&self.folder)
    }

    /// Those that are in it and below it.
    pub fn members(&self) -> Vec<i32> {
        let mut all = Vec::new();
        each_group(&self.folder, &mut |folder| {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            all.extend(text.lines().filter_map(|pid| pid.parse::<i32>().ok()));
        });
        all
    }

    /// Whether the limit of memory ended somebody.
    pub fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        events
            .lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .any(|count| count.trim() != "0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        remove(&self.folder);
        if let Some(counter) = &self.counter {
            let _ = fs::remove_dir(counter);
        }
    }
}

fn kill(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("cgroup.kill"), b"1")
}

/// Visits a group and those below it, the innermost first.
fn each_group(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each_group(&entry.path(), visit);
        }
    }
    visit(folder);
}

/// Removes a folder with the groups in it. One that has members stays.
fn remove(folder: &Path) {
    if fs::remove_dir(folder).is_err() {
        each_group(folder, &mut |folder| {
            let _ = fs::remove_dir(folder);
        });
    }
}

/// What a folder of ours is called. A pid alone would not do: the groups may be shared with other namespaces, where it
/// means somebody else, or nobody.
fn folder_name(prefix: &str) -> String {
    format!("{prefix}{}-{}", namespace(), std::process::id())
}

/// The number of our namespace of pids.
fn namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let text = link.to_string_lossy();
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Whether it is the folder of one who is dead. Of other namespaces nobody here can tell.
fn is_of_the_dead(name: &str, prefix: &str, namespace: &str) -> bool {
    let pid = name.strip_prefix(prefix).and_then(|rest| {
        let (found, pid) = rest.split_once('-')?;
        (found == namespace).then(|| pid.parse().ok())?
    });
    pid.is_some_and(|pid| procfs::stat(pid).is_none_or(|stat| stat.zombie))
}

/// Ends what the dead have left. Their processes are nobody's.
fn sweep(own: &Path) {
    let namespace = namespace();
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if [PREFIX, limits::PREFIX]
            .into_iter()
            .any(|prefix| is_of_the_dead(&name, prefix, &namespace))
        {
            let _ = kill(&entry.path());
            remove(&entry.path());
        }
    }
}

/// Where our own group of version 2 is mounted.
fn own_group(groups: &str, mounts: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, point) = mounts.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut fields = front.split(' ').skip(3);
        back.starts_with("cgroup2 ")
            .then(|| Some((fields.next()?, fields.next()?)))?
    })?;
    // The mount may show only a part of the tree, which must have us in it.
    let below = Path::new(path).strip_prefix(root).ok()?;
    let own = Path::new(point).join(below);
    // Our programs may have moved to a leaf of it.
    match own.file_name() {
        Some(name) if name == limits::LEAF => own.parent().map(Path::to_owned),
        _ => Some(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        26 25 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        35 26 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn only_the_dead_of_our_namespace_are_swept() {
        let own = namespace();
        assert!(!own.is_empty());
        let dead = |name: &str| is_of_the_dead(name, PREFIX, &own);
        // Beyond the highest pid there can be.
        assert!(dead(&format!("{PREFIX}{own}-2000000000")));
        assert!(!dead(&format!("{PREFIX}{own}-{}", std::process::id())));
        assert!(!dead(&folder_name(PREFIX)));
        for name in ["1-2000000000", "2000000000", "", "x-y"] {
            assert!(!dead(&format!("{PREFIX}{name}")), "{name}");
        }
    }

    #[test]
    fn our_group_is_found_below_the_mount() {
        let of = |groups, mounts| own_group(groups, mounts);
        let unified = Path::new("/sys/fs/cgroup/unified");
        assert_eq!(of("4:memory:/x\n0::/\n", MOUNTS), Some(unified.to_owned()));
        assert_eq!(of("0::/a/b\n", MOUNTS), Some(unified.join("a/b")));
        let leaf = format!("0::/a/{}\n", limits::LEAF);
        assert_eq!(of(&leaf, MOUNTS), Some(unified.join("a")));
        assert_eq!(of("4:memory:/x\n", MOUNTS), None, "version 1 alone");
        assert_eq!(of("0::/\n", "1 2 0:1 / /sys rw - sysfs sysfs rw\n"), None);
        let part = MOUNTS.replace("0:32 / ", "0:32 /a ");
        assert_eq!(of("0::/a/b\n", &part), Some(unified.join("b")));
        assert_eq!(of("0::/c\n", &part), None, "we are not in it");
    }
}
