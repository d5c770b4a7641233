//! Descendants: who belongs to a process that we started, and how all of them are ended.
//!
//! A member is in the session or the group of the leader, or was started by a member and still has it as its parent. The
//! leader must not have been reaped while this is asked: until then no other session or group can have its number. Each
//! member is signalled by a pidfd that was opened before it was looked at, so that a number that is used again is never
//! hit.

use std::{collections::HashSet, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{
    cgroup::Group,
    child::Process,
    procfs::{self, Stat},
};

const SIGKILL: i32 = nix::libc::SIGKILL;
/// Longest wait for killed processes to be gone.
const STUCK: Duration = Duration::from_secs(1);
/// Rounds of looking and killing; each finds only what was started during the one before.
const ROUNDS: usize = 64;

/// The living members of all these leaders, without the leaders themselves and without us.
pub fn of(leaders: &[i32]) -> Vec<Stat> {
    closure(procfs::processes(), |stat| {
        leaders.contains(&stat.session) || leaders.contains(&stat.group)
    })
    .into_iter()
    .filter(|stat| !leaders.contains(&stat.pid))
    .collect()
}

/// Whether a process is in the session or the group of the leader, or was started by one that is.
pub fn belongs(pid: i32, leader: i32) -> bool {
    // As long as the longest chain of parents that anybody makes in earnest.
    let chain = std::iter::successors(procfs::stat(pid), |stat| procfs::stat(stat.parent));
    chain
        .take(64)
        .any(|stat| stat.pid == leader || stat.session == leader || stat.group == leader)
}

/// Every living process below this one.
pub fn descendants() -> Vec<Stat> {
    let us = ourselves();
    closure(procfs::processes(), |stat| stat.parent == us)
}

fn ourselves() -> i32 {
    i32::try_from(std::process::id()).expect("a pid fits")
}

/// Those that are chosen, and all that they started.
fn closure(all: Vec<Stat>, chosen: impl Fn(&Stat) -> bool) -> Vec<Stat> {
    let us = ourselves();
    let mut found: HashSet<i32> = all
        .iter()
        .filter(|stat| chosen(stat))
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
    all.into_iter()
        .filter(|stat| found.contains(&stat.pid) && !stat.zombie && stat.pid != us)
        .collect()
}

/// Kills the leader's group at once and then every other member, and waits until they are gone. The leader may end by
/// it, too, and is not reaped. Dropping the future leaves those alone that were not found yet.
///
/// With a control group, the members are those that are in it: they are killed at once, wherever they went.
pub async fn kill(leader: &Process, group: Option<&Group>) {
    let all_at_once = group.is_some_and(|group| group.kill().is_ok());
    let _ = leader.signal_members(SIGKILL);
    if let (true, Some(group)) = (all_at_once, group) {
        kill_inside(group, leader.pid()).await;
        return;
    }
    kill_all(|| {
        let inside = group.map(Group::members).unwrap_or_default();
        closure(procfs::processes(), |stat| {
            stat.session == leader.pid() || stat.group == leader.pid() || inside.contains(&stat.pid)
        })
        .into_iter()
        .filter(|stat| stat.pid != leader.pid())
        .collect()
    })
    .await;
}

/// Waits until nobody is in the group but the leader, who may hang in the kernel; kills again what came meanwhile.
async fn kill_inside(group: &Group, leader: i32) {
    for _ in 0..ROUNDS {
        let seen: Vec<Process> = group
            .members()
            .into_iter()
            .filter(|pid| *pid != leader)
            .filter_map(|pid| Process::adopt(pid, None))
            .collect();
        if seen.is_empty() {
            return;
        }
        let ended = async {
            for process in seen {
                process.ended().await;
            }
        };
        let _ = tokio::time::timeout(STUCK, ended).await;
        let _ = group.kill();
    }
}

/// Kills everything below this process, and waits until it is gone.
pub async fn kill_descendants() {
    kill_all(descendants).await;
}

/// Kills what a leader that is not our child started, as long as it lives itself, and the leader.
pub fn kill_foreign(leader: &Process) {
    let members = of(&[leader.pid()]);
    // Asked after the list was made: the number was the leader's own all the time.
    if leader.is_alive() {
        members.iter().for_each(kill_one);
    }
    leader.signal(Signal::KILL);
}

/// Each round finds only what was started during the one before.
async fn kill_all(look: impl Fn() -> Vec<Stat>) {
    for _ in 0..ROUNDS {
        let members = look();
        if members.is_empty() {
            return;
        }
        members.iter().for_each(kill_one);
        // One that hangs in the kernel must not hold up the next round for long.
        let _ = tokio::time::timeout(STUCK, all_ended(members)).await;
    }
}

/// Waits until nothing lives below this process, at most for `limit`; whether nothing does.
pub async fn descendants_gone(limit: Duration) -> bool {
    let gone = async {
        loop {
            let seen = descendants();
            if seen.is_empty() {
                return;
            }
            all_ended(seen).await;
        }
    };
    tokio::time::timeout(limit, gone).await.is_ok()
}

async fn all_ended(seen: Vec<Stat>) {
    for one in seen {
        if let Some(process) = Process::adopt(one.pid, Some(one.started)) {
            process.ended().await;
        }
    }
}

/// Kills the process that was seen, and none that has its number now.
fn kill_one(seen: &Stat) {
    let Some(pid) = Pid::from_raw(seen.pid) else {
        return;
    };
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    if procfs::stat(seen.pid).is_some_and(|now| now.started == seen.started) {
        let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::sys::child::Spec;

    #[tokio::test]
    async fn a_kill_reaches_other_groups_and_other_sessions() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let script = "set -m; sleep 1000 & setsid sleep 1000 & echo started; wait";
        let leader = Spec::new("/bin/sh")
            .arguments(["-c", script])
            .environment(&[("PATH".into(), "/usr/bin:/bin".into())])
            .output(writer)
            .start()
            .expect("sh");
        reader.read_exact(&mut [0; 8]).expect("its word");
        kill(&leader, None).await;
        leader.ended().await;
        assert!(of(&[leader.pid()]).is_empty());
        // The pipe ends only when nobody holds it any more.
        reader.read_to_end(&mut Vec::new()).expect("its end");
        leader.reap();
    }
}
