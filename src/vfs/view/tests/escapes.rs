//! Random trees, full of links that lead out, whose names another thread changes at full speed: whatever is asked for, nothing
//! from outside of the root is reached.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;
use crate::{sys::thread::spawn, vfs::entry::Identity};

/// Trees of a run; `DESKD_TEST_TREES` says another number.
const TREES: usize = 2_000;
/// Paths that are asked for in each tree.
const ASKED: usize = 12;
const CANARY: &[u8] = b"canary";
const WORDS: [&str; 3] = ["a", "b", "c"];

/// xorshift64, Marsaglia 2003.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides).expect("small")
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.roll(3);
        let words: Vec<_> = (0..depth).map(|_| WORDS[self.roll(3)]).collect();
        words.join("/")
    }

    /// With links to follow, and ways back.
    fn asked(&mut self) -> String {
        let steps = 1 + self.roll(6);
        let mut path = String::new();
        for _ in 0..steps {
            path.push('/');
            path.push_str(["a", "b", "c", "..", "file", "sub"][self.roll(6)]);
        }
        path
    }
}

/// A base with a canary, and the root of the tree of the moment.
struct Stage {
    base: tempfile::TempDir,
    outside: PathBuf,
    root: Mutex<PathBuf>,
    done: AtomicBool,
}

impl Stage {
    fn new() -> Self {
        let base = tempfile::tempdir().expect("a directory");
        let outside = base.path().join("outside");
        fs::create_dir_all(outside.join("sub")).expect("made");
        // Under names that the whirl has not: what it renames through a link lies outside as well.
        for file in ["file", "sub/file"] {
            fs::write(outside.join(file), CANARY).expect("written");
        }
        fs::create_dir(base.path().join("away")).expect("made");
        Self {
            root: Mutex::new(base.path().to_owned()),
            base,
            outside,
            done: AtomicBool::new(false),
        }
    }

    fn root(&self) -> PathBuf {
        self.root
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A tree of directories, files and links.
    fn grow(&self, number: usize, dice: &mut Dice) -> PathBuf {
        let root = self.base.path().join(format!("root{number}"));
        fs::create_dir(&root).expect("made");
        for _ in 0..10 {
            let at = root.join(dice.path());
            let up = "../".repeat(1 + dice.roll(4));
            let target = match dice.roll(4) {
                0 => self.outside.clone(),
                1 => PathBuf::from(format!("{up}outside")),
                2 => PathBuf::from(format!("/{}", dice.path())),
                _ => PathBuf::from(format!("{up}{}", dice.path())),
            };
            // What does not fit to what is there already is left out.
            let _ = match dice.roll(5) {
                0 | 1 => fs::create_dir_all(&at),
                2 => fs::write(&at, "inside"),
                _ => symlink(target, &at),
            };
        }
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = root.clone();
        root
    }

    /// Changes names in the tree of the moment, and moves directories out of it and back.
    fn whirl(&self) {
        let mut dice = Dice(0x5eed);
        let away = self.base.path().join("away/x");
        while !self.done.load(Ordering::Relaxed) {
            let root = self.root();
            for _ in 0..16 {
                let (one, other) = (root.join(dice.path()), root.join(dice.path()));
                let _ = match dice.roll(8) {
                    0 => symlink(&self.outside, &one).map_err(drop),
                    1 => fs::rename(&one, &away).map_err(drop),
                    2 => fs::rename(&away, &one).map_err(drop),
                    3..=5 => {
                        renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).map_err(drop)
                    }
                    _ => fs::rename(&one, &other).map_err(drop),
                };
            }
        }
    }

    /// What lies outside, by device and inode.
    fn forbidden(&self) -> Vec<Identity> {
        use std::os::unix::fs::MetadataExt;
        let paths = ["", "sub", "file", "sub/file"].map(|name| self.outside.join(name));
        let base = [self.base.path().to_owned(), self.base.path().join("away")];
        let identity = |path: &PathBuf| {
            let meta = fs::symlink_metadata(path).expect("there");
            Identity {
                device: meta.dev(),
                inode: meta.ino(),
            }
        };
        paths.iter().chain(&base).map(identity).collect()
    }
}

/// Asks for paths; gives how many led somewhere.
fn ask(view: &View, dice: &mut Dice, forbidden: &[Identity]) -> usize {
    let mut reached = 0;
    for _ in 0..ASKED {
        let path = ClientPath::parse(dice.asked().as_bytes()).expect("a path");
        let Ok(place) = view.resolve(&path, Last::Follow) else {
            continue;
        };
        let Some(found) = &place.found else { continue };
        reached += 1;
        assert!(
            !forbidden.contains(&found.identity),
            "{path:?} reached the outside"
        );
        if found.kind.is_directory() {
            if let Ok(opened) = place.open_directory("open") {
                let identity = opened.directory.attributes().expect("opened").identity;
                assert!(
                    !forbidden.contains(&identity),
                    "{path:?} opened the outside"
                );
            }
        } else if let Some(name) = &place.name
            && let Ok(file) = place.directory.open(name)
        {
            let mut bytes = [0; 16];
            let count = file.read_at(&mut bytes, 0).expect("read");
            assert_ne!(&bytes[..count], CANARY, "{path:?} read the outside");
        }
    }
    reached
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a test runs is no setting of the daemon"
)]
fn trees() -> usize {
    let told = std::env::var("DESKD_TEST_TREES").ok();
    told.map_or(TREES, |told| told.parse().expect("a number of trees"))
}

#[test]
fn nothing_leads_out_of_random_trees_while_their_names_change() {
    for resolver in [Resolver::Auto, Resolver::Walk] {
        let stage = Arc::new(Stage::new());
        let forbidden = stage.forbidden();
        let whirl = {
            let stage = Arc::clone(&stage);
            spawn("whirl", move || stage.whirl()).expect("a thread")
        };
        let mut dice = Dice(0xdeca_f000 + 1);
        let (mut reached, mut last) = (0, None::<PathBuf>);
        for number in 0..trees() {
            let root = stage.grow(number, &mut dice);
            // The whirl may still be in the one before.
            if let Some(last) = last.replace(root.clone()) {
                let _ = fs::remove_dir_all(last);
            }
            let view = tree(&[("/", &host(&root, resolver))]);
            reached += ask(&view, &mut dice, &forbidden);
        }
        stage.done.store(true, Ordering::Relaxed);
        whirl.join().expect("it ended");
        assert!(
            reached > trees(),
            "{reached} paths led somewhere by {resolver:?}"
        );
        println!(
            "{resolver:?}: {} trees, {reached} paths led somewhere, none outside",
            trees()
        );
    }
}
