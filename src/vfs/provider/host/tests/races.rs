//! Directories that change under the provider, at full speed, and a canary beside them that nobody may read or touch.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;
use crate::{sys::thread::spawn, vfs::provider::Condition};

const ROUNDS: usize = 20_000;
/// Rounds that write, which takes longer.
const WRITES: usize = 5_000;
const CANARY: &[u8] = b"canary";

/// `root/dir` is now a directory, now a link to `outside`; both hold `sub/file`.
struct Swapped {
    _base: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
}

impl Swapped {
    fn new() -> Self {
        let base = tempfile::tempdir().expect("a directory");
        let (root, outside) = (base.path().join("root"), base.path().join("outside"));
        for (directory, content) in [
            (root.join("dir"), &b"inside"[..]),
            (outside.clone(), CANARY),
        ] {
            fs::create_dir_all(directory.join("sub")).expect("made");
            fs::write(directory.join("sub/file"), content).expect("written");
            fs::write(directory.join("file"), content).expect("written");
        }
        symlink(&outside, root.join("link")).expect("linked");
        fs::write(root.join("plain"), "inside").expect("written");
        symlink(outside.join("file"), root.join("bait")).expect("linked");
        Self {
            _base: base,
            root,
            outside,
        }
    }

    /// Runs while another thread swaps the directory for the link and the file for a link to a file outside.
    fn swap_while(&self, rounds: usize, mut work: impl FnMut(usize)) {
        let stop = Arc::new(AtomicBool::new(false));
        let swapper = {
            let (stop, root) = (Arc::clone(&stop), self.root.clone());
            spawn("swapper", move || {
                let swap = |one: &str, other: &str| {
                    renameat_with(
                        CWD,
                        root.join(one),
                        CWD,
                        root.join(other),
                        RenameFlags::EXCHANGE,
                    )
                };
                while !stop.load(Ordering::Relaxed) {
                    swap("dir", "link").expect("swapped");
                    let _ = swap("plain", "bait");
                }
            })
            .expect("a thread")
        };
        for round in 0..rounds {
            work(round);
        }
        stop.store(true, Ordering::Relaxed);
        swapper.join().expect("it ended");
    }

    /// All there is to see of what lies outside.
    fn canary(&self) -> Vec<(PathBuf, Vec<u8>, u32, i64, i64)> {
        let files = ["file", "sub/file"].map(|file| self.outside.join(file));
        let directories = [self.outside.clone(), self.outside.join("sub")];
        let seen = |path: PathBuf, content: Vec<u8>| {
            let meta = fs::metadata(&path).expect("there");
            (path, content, meta.mode(), meta.ctime(), meta.ctime_nsec())
        };
        let files = files.map(|file| seen(file.clone(), fs::read(file).expect("read")));
        let listings =
            directories.map(|path| seen(path.clone(), entries(&path).concat().into_bytes()));
        files.into_iter().chain(listings).collect()
    }
}

#[test]
fn nothing_outside_is_read() {
    for resolver in BOTH {
        let swapped = Swapped::new();
        let top = top_with(&swapped.root, Reserved::default(), resolver);
        let mut reached = 0;
        swapped.swap_while(ROUNDS, |round| {
            let path = names(["dir", "dir/sub"][round % 2]);
            let (directory, taken) = top.descend(&path).expect("descended");
            if taken == path.len() {
                reached += 1;
                assert_eq!(read(&*directory, "file").expect("read"), b"inside");
            } else {
                assert_eq!(taken, 0);
            }
            match read(&*top, "plain") {
                Ok(bytes) => assert_eq!(bytes, b"inside"),
                Err(fault) => assert!(matches!(fault.kind(), Kind::Changed | Kind::NotFound)),
            }
        });
        assert!(reached > 0, "the directory was never there by {resolver:?}");
    }
}

#[test]
fn nothing_outside_is_written() {
    for resolver in BOTH {
        let swapped = Swapped::new();
        let before = swapped.canary();
        let top = top_with(&swapped.root, Reserved::default(), resolver);
        swapped.swap_while(WRITES, |round| {
            let (directory, taken) = top.descend(&names("dir/sub")).expect("descended");
            if taken == 2 {
                let how = Commit {
                    hold: round % 2 == 0,
                    ..Commit::default()
                };
                put(&*directory, "file", b"inside", &how).expect("written");
            }
            let _ = put(&*top, "plain", b"inside", &Commit::default());
            let _ = top.set_attributes(
                Some(&name("plain")),
                &crate::vfs::provider::Changes {
                    mode: Some(0o644),
                    ..Default::default()
                },
            );
        });
        assert_eq!(swapped.canary(), before);
    }
}

#[test]
fn one_of_many_wins_a_name_and_nobody_sees_a_mix() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    for round in 0..50 {
        let file = format!("file-{round}");
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (here, file) = (Arc::clone(&here), file.clone());
                let how = Commit {
                    condition: Condition::Missing,
                    ..Commit::default()
                };
                let content = vec![b'a' + writer; 10_000];
                spawn("writer", move || put(&*here, &file, &content, &how).is_ok())
                    .expect("a thread")
            })
            .collect();
        let won = writers
            .into_iter()
            .map(|writer| writer.join().expect("it ended"));
        assert_eq!(won.filter(|won| *won).count(), 1);
        let bytes = read(&*here, &file).expect("read");
        assert!(bytes.len() == 10_000 && bytes.iter().all(|byte| *byte == bytes[0]));
    }
    assert_eq!(entries(base.path()).len(), 50);
}
