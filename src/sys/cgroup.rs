//! Control groups (cgroups(7), version 2): who a process started, however far away it went.
//!
//! Below our own group we make one folder, and in it one for each process. Only membership is used: which processes there
//! are, and killing them all at once. Where no group can be made (version 1, a read-only mount), there is none.

use std::{
    fs::{self, OpenOptions},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use super::procfs;

/// Before the pid of the one whose folder it is.
const PREFIX: &str = "deskd-keeper-";

/// Our folder. Removed when dropped, as far as it is empty.
#[derive(Debug)]
pub struct Tree(PathBuf);

impl Tree {
    /// Makes our folder, and ends what is left in those of others that are dead. `None` where that cannot be done.
    pub fn open() -> Option<Self> {
        let own = own_group(
            &fs::read_to_string("/proc/self/cgroup").ok()?,
            &fs::read_to_string("/proc/self/mountinfo").ok()?,
        )?;
        sweep(&own);
        let folder = own.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        Some(Self(folder))
    }

    /// A group for one process. Names are used once.
    pub fn group(&self, name: &str) -> io::Result<Group> {
        let folder = self.0.join(name);
        fs::create_dir(&folder)?;
        Ok(Group(folder))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// The group of one process. Its folder is removed when dropped, unless somebody lives there.
#[derive(Debug)]
pub struct Group(PathBuf);

impl Group {
    /// Whoever writes `0` to this moves there.
    pub fn entrance(&self) -> io::Result<OwnedFd> {
        let mut file = OpenOptions::new();
        file.write(true);
        file.open(self.0.join("cgroup.procs")).map(OwnedFd::from)
    }

    /// Kills all that are in it, in one step (Linux 5.14). An error where the kernel cannot.
    pub fn kill(&self) -> io::Result<()> {
        kill(&self.0)
    }

    /// Those that are in it.
    pub fn members(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn kill(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("cgroup.kill"), b"1")
}

/// Removes a folder with the groups in it. One that has members stays.
fn remove(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

/// Ends what the dead have left. Their processes are nobody's.
fn sweep(own: &Path) {
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        if procfs::stat(pid).is_none_or(|stat| stat.zombie) {
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
    Some(Path::new(point).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        26 25 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        35 26 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn our_group_is_found_below_the_mount() {
        let of = |groups, mounts| own_group(groups, mounts);
        let unified = Path::new("/sys/fs/cgroup/unified");
        assert_eq!(of("4:memory:/x\n0::/\n", MOUNTS), Some(unified.to_owned()));
        assert_eq!(of("0::/a/b\n", MOUNTS), Some(unified.join("a/b")));
        assert_eq!(of("4:memory:/x\n", MOUNTS), None, "version 1 alone");
        assert_eq!(of("0::/\n", "1 2 0:1 / /sys rw - sysfs sysfs rw\n"), None);
        let part = MOUNTS.replace("0:32 / ", "0:32 /a ");
        assert_eq!(of("0::/a/b\n", &part), Some(unified.join("b")));
        assert_eq!(of("0::/c\n", &part), None, "we are not in it");
    }
}
