//! Groups with limits: where they can be made, and how the controllers get there.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{Applied, Group, each_group, folder_name, is_of_the_dead, namespace, remove};

/// Before the name of the one whose folder it is.
pub(super) const PREFIX: &str = "deskd-limits-";
/// Where our own programs live, when our group must hold none.
pub(super) const LEAF: &str = "deskd-self";

/// Makes groups with limits, from the first one that is asked for on.
#[derive(Debug)]
pub(super) struct Limiter {
    own: PathBuf,
    places: OnceLock<Places>,
}

/// Where limits can be applied.
#[derive(Debug)]
struct Places {
    /// Folder of version 2, and the controllers that groups in it have.
    unified: Option<(PathBuf, Applied)>,
    /// Folder of version 1 whose controller counts processes.
    counter: Option<PathBuf>,
    /// Our group, when our programs left it for the leaf.
    left: Option<PathBuf>,
}

impl Limiter {
    pub(super) fn new(own: PathBuf) -> Self {
        Self {
            own,
            places: OnceLock::new(),
        }
    }

    /// A group with those of the limits that can be applied; `None` when that is none of them.
    pub(super) fn group(
        &self,
        name: &str,
        memory: Option<u64>,
        pids: Option<u64>,
    ) -> Option<Group> {
        let places = self.places.get_or_init(|| Places::find(&self.own));
        let has = places.unified.as_ref().map(|(_, has)| *has);
        let has = has.unwrap_or_default();
        let here = has.memory && memory.is_some() || has.pids && pids.is_some();
        let mut group = match &places.unified {
            Some((folder, _)) if here => Group::make(folder.join(name)).ok()?,
            _ => return places.count(&self.own, name, pids?),
        };
        let put =
            |file: &str, value: u64| fs::write(group.folder.join(file), value.to_string()).is_ok();
        if let Some(bytes) = memory.filter(|_| has.memory) {
            // Past the limit it is all that end, and not whoever the kernel picks.
            group.limits.memory = put("memory.max", bytes) && put("memory.oom.group", 1);
            // Without it the rest would go to the disk first. Not there without swap.
            let _ = put("memory.swap.max", 0);
        }
        if let Some(count) = pids.filter(|_| has.pids) {
            group.limits.pids = put("pids.max", count);
        } else if let Some(count) = pids {
            places.add_counter(&mut group, name, count);
        }
        Some(group)
    }
}

impl Places {
    fn find(own: &Path) -> Self {
        let enabled = enable(own);
        let left = enabled.is_some_and(|(_, moved)| moved);
        let unified = enabled.and_then(|(has, _)| {
            let folder = own.join(folder_name(PREFIX));
            fs::create_dir(&folder).ok()?;
            let has = switch_on(&folder, has);
            Some((folder, has))
        });
        let has_pids = unified.as_ref().is_some_and(|(_, has)| has.pids);
        Self {
            unified,
            counter: if has_pids { None } else { counter() },
            left: left.then(|| own.to_owned()),
        }
    }

    /// A group for membership, beside one of version 1 that counts.
    fn count(&self, own: &Path, name: &str, pids: u64) -> Option<Group> {
        let keeper = own.join(folder_name(super::PREFIX));
        self.counter.as_ref()?;
        let mut group = Group::make(keeper.join(name)).ok()?;
        self.add_counter(&mut group, name, pids);
        Some(group)
    }

    fn add_counter(&self, group: &mut Group, name: &str, pids: u64) {
        let Some(folder) = self.counter.as_ref().map(|folder| folder.join(name)) else {
            return;
        };
        if fs::create_dir(&folder).is_ok() {
            group.limits.pids = fs::write(folder.join("pids.max"), pids.to_string()).is_ok();
            group.counter = Some(folder);
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for folder in [
            self.unified.as_ref().map(|(folder, _)| folder),
            self.counter.as_ref(),
        ]
        .into_iter()
        .flatten()
        {
            remove(folder);
        }
        if let Some(own) = &self.left {
            return_from_leaf(own);
        }
    }
}

/// Moves our programs back from the leaf, for whoever starts them in our group again.
fn return_from_leaf(own: &Path) {
    let file = own.join("cgroup.subtree_control");
    for name in ["-memory", "-pids"] {
        let _ = fs::write(&file, name);
    }
    let leaf = own.join(LEAF);
    move_ours(&leaf, own);
    let _ = fs::remove_dir(&leaf);
}

/// Hands the controllers that there are on to the groups below ours; which, and whether our programs moved to the leaf.
///
/// They leave first: `memory` is refused to a group that holds processes, and `pids` is not, but makes groups below it that
/// take none (cgroup-v2.rst, "No Internal Process Constraint" and "Threads"). The root alone is free of that.
fn enable(own: &Path) -> Option<(Applied, bool)> {
    let there = controllers(&own.join("cgroup.controllers"));
    if there == Applied::default() {
        return None;
    }
    let leaf = own.join(LEAF);
    if controllers(&own.join("cgroup.subtree_control")) == there {
        // A keeper that was killed may have moved them.
        return Some((there, leaf.exists()));
    }
    let is_root = !own.join("cgroup.type").exists();
    if is_root {
        let got = switch_on(own, there);
        return (got != Applied::default()).then_some((got, false));
    }
    let _ = fs::create_dir(&leaf);
    let moved = move_ours(own, &leaf);
    let left = fs::read_to_string(own.join("cgroup.procs"));
    let got = match left.as_deref() {
        Ok("") => switch_on(own, there),
        // Somebody else lives here.
        _ => Applied::default(),
    };
    if got == Applied::default() {
        for pid in moved {
            let _ = fs::write(own.join("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(&leaf);
        return None;
    }
    Some((got, true))
}

fn controllers(file: &Path) -> Applied {
    let text = fs::read_to_string(file).unwrap_or_default();
    let has = |name: &str| text.split_ascii_whitespace().any(|one| one == name);
    Applied {
        memory: has("memory"),
        pids: has("pids"),
    }
}

/// Switches controllers on for the groups in a folder; which are on then.
fn switch_on(folder: &Path, wanted: Applied) -> Applied {
    let file = folder.join("cgroup.subtree_control");
    for (name, wanted) in [("+memory", wanted.memory), ("+pids", wanted.pids)] {
        if wanted {
            let _ = fs::write(&file, name);
        }
    }
    controllers(&file)
}

/// Moves the processes that run the same program as this one; their pids.
fn move_ours(from: &Path, to: &Path) -> Vec<String> {
    let program = |pid: &str| fs::read_link(format!("/proc/{pid}/exe"));
    let Ok(own) = program("self") else {
        return Vec::new();
    };
    let all = fs::read_to_string(from.join("cgroup.procs")).unwrap_or_default();
    all.lines()
        .filter(|pid| program(pid).is_ok_and(|other| other == own))
        .filter(|pid| fs::write(to.join("cgroup.procs"), pid).is_ok())
        .map(str::to_owned)
        .collect()
}

/// A folder of ours below our own group of version 1 that counts processes, without those that the dead have left.
fn counter() -> Option<PathBuf> {
    let own = counting_group(
        &fs::read_to_string("/proc/self/cgroup").ok()?,
        &fs::read_to_string("/proc/self/mountinfo").ok()?,
    )?;
    sweep(&own);
    let folder = own.join(folder_name(PREFIX));
    fs::create_dir(&folder).ok()?;
    Some(folder)
}

/// Removes the folders of the dead. Who lives there is found by the groups of version 2.
fn sweep(own: &Path) {
    let namespace = namespace();
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if is_of_the_dead(&name.to_string_lossy(), PREFIX, &namespace) {
            each_group(&entry.path(), &mut |folder| {
                let _ = fs::remove_dir(folder);
            });
        }
    }
}

/// Where our own group of version 1 with the controller `pids` is mounted.
fn counting_group(groups: &str, mounts: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers
            .split(',')
            .any(|one| one == "pids")
            .then_some(path)
    })?;
    let (root, point) = mounts.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let options = back.strip_prefix("cgroup ")?.rsplit(' ').next()?;
        let mut fields = front.split(' ').skip(3);
        let found = options.split(',').any(|one| one == "pids");
        found.then(|| Some((fields.next()?, fields.next()?)))?
    })?;
    let below = Path::new(path).strip_prefix(root).ok()?;
    Some(Path::new(point).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counting_group_of_version_1_is_found() {
        let mounts = "36 26 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      37 26 0:34 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let of = |groups| counting_group(groups, mounts);
        let point = Path::new("/sys/fs/cgroup/pids");
        assert_eq!(of("8:pids:/a\n0::/\n"), Some(point.join("a")));
        assert_eq!(of("4:cpu:/x\n0::/\n"), None);
    }
}
