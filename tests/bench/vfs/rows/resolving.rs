//! From a path to an opened directory and a name, in this process.

use std::{
    fs,
    hint::black_box,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use deskd::vfs::{
    Vfs,
    order::{MountOrder, Source},
    path::{ClientPath, TreePath},
    provider::host::Resolver,
    setup::{self, Config},
    view::Last,
};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::{
    Outcome,
    cleanup::Place,
    options::Options,
    stats::{Contender, Samples, alternate},
    table::{Better, Figure, Report, Row},
};

/// Paths that are resolved for one sample.
const PATHS: u32 = 1000;
/// Names of the path.
const NAMES: usize = 8;
/// Mounts of the full table, the root among them.
const MOUNTS: usize = 32;

pub(super) fn measure(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let folder = place.folder("resolve-")?;
    let path = deep(&folder)?;
    let client = ClientPath::parse(path.as_os_str().as_bytes())?;
    let leaps = tree(&folder, "leaps", Resolver::Openat2, &[])?;
    let walks = tree(&folder, "walks", Resolver::Walk, &[])?;
    // Beside the directories of the path, so that none of them can be passed without a look at the table.
    let orders: Vec<MountOrder> = (1..MOUNTS)
        .map(|number| {
            let above = path.ancestors().nth(1 + number % 4).unwrap_or(&folder);
            memory(&above.join(format!("mount-{number}")))
        })
        .collect::<Outcome<_>>()?;
    let full = tree(&folder, "full", Resolver::Openat2, &orders)?;
    let far: Vec<MountOrder> = (1..MOUNTS)
        .map(|number| memory(Path::new(&format!("/mount-{number}"))))
        .collect::<Outcome<_>>()?;
    let far = tree(&folder, "far", Resolver::Openat2, &far)?;
    let mut contenders = vec![
        Contender::new(|| resolved(&leaps, &client)),
        Contender::new(|| resolved(&walks, &client)),
        Contender::new(|| resolved(&far, &client)),
        Contender::new(|| resolved(&full, &client)),
        Contender::new(|| plain(&path)),
    ];
    alternate(20, options.samples(1000), &mut contenders)?;
    let plain = one(&contenders[4].samples);
    let figure = |at: usize| micros(one(&contenders[at].samples));
    let rows = [
        ("path of 8 names, openat2", 0, 5.0),
        ("the same, walk", 1, 25.0),
    ];
    for (what, at, limit) in rows {
        report.add(
            Row::new(what, figure(at))
                .under(limit)
                .peer("openat", micros(plain), None),
        );
    }
    let rows = [
        ("what a table of 32 mounts adds", 2),
        ("the same, all of them beside the path", 3),
    ];
    for (what, at) in rows {
        let more = one(&contenders[at].samples).saturating_sub(one(&contenders[0].samples));
        report.add(Row::new(what, micros(more)).under(5.0));
    }
    Ok(())
}

/// A file whose path has just so many names.
fn deep(folder: &Path) -> Outcome<PathBuf> {
    let mut path = folder.to_owned();
    while path.components().count() - 1 < NAMES - 1 {
        path.push("directory");
    }
    fs::create_dir_all(&path)?;
    path.push("file");
    fs::write(&path, "content")?;
    if path.components().count() - 1 != NAMES {
        return Err("the folder lies too deep".into());
    }
    Ok(path)
}

fn memory(at: &Path) -> Outcome<MountOrder> {
    Ok(MountOrder {
        at: TreePath::parse(at.as_os_str().as_bytes())?,
        source: Source::Memory {
            quota_bytes: 1 << 20,
            max_entries: 100,
        },
        read_only: false,
    })
}

/// The tree of a daemon with the whole machine and these mounts.
fn tree(folder: &Path, name: &str, resolver: Resolver, mounts: &[MountOrder]) -> Outcome<Vfs> {
    let own = |what: &str| -> Outcome<PathBuf> {
        let path = folder.join(format!("{name}-{what}"));
        fs::create_dir(&path)?;
        Ok(path)
    };
    let config = Config {
        roots: Vec::new(),
        mounts: mounts.to_vec(),
        resolver,
        memory_bytes: 1 << 30,
        max_edit_body: 1 << 26,
        materialize_dir: folder.to_owned(),
        allow: Vec::new(),
        home: folder.to_owned(),
        state_dir: own("state")?,
        runtime_dir: own("run")?,
    };
    Ok(setup::open(&config)?)
}

fn resolved(vfs: &Vfs, path: &ClientPath) -> Outcome<Duration> {
    let view = vfs.view();
    let start = Instant::now();
    for _ in 0..PATHS {
        let place = view.resolve(black_box(path), Last::Follow)?;
        if black_box(place).found.is_none() {
            return Err("the file was not found".into());
        }
    }
    Ok(start.elapsed())
}

/// What the kernel takes for the same when nothing is checked.
fn plain(path: &Path) -> Outcome<Duration> {
    let start = Instant::now();
    for _ in 0..PATHS {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        black_box(openat(CWD, black_box(path), flags, Mode::empty())?);
    }
    Ok(start.elapsed())
}

/// Of one path.
fn one(samples: &Samples) -> Duration {
    samples.quantile(50) / PATHS
}

fn micros(time: Duration) -> Figure {
    Figure::value(time.as_secs_f64() * 1e6, "µs", Better::Less)
}
