//! Files and trees of a commit.

use std::path::Path;

use serde_json::json;

use crate::{
    Outcome,
    cleanup::Place,
    http::Client,
    options::Options,
    ours::{Ours, text},
    process::program,
    stats::{Contender, alternate},
    table::{Figure, Report, Row},
    trees::{self, drained},
};

const FILES: u64 = 50_000;
const COMMITS: u64 = 30;
const AT: &str = "/bench-git";

/// A small file, a large one, and the whole tree, of a repository with all objects in one pack.
pub(super) fn measure(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let path = place.folder("git-")?;
    trees::repository(place, &path, FILES, COMMITS)?;
    let ours = Ours::start(place)?;
    let body = json!({"at": AT, "provider": "git", "repository": text(&path)?});
    let (made, _) = ours.post("/api/v0/mounts", &body, 201)?;
    eprintln!("  mounted in {made:?}");
    let files = [
        (
            "small file of a commit",
            "directory-0250/file-025017.txt",
            500,
        ),
        ("10 MiB of a commit", "large.txt", 50),
    ];
    for (what, name, samples) in files {
        file(
            place,
            (&ours, &path),
            options.samples(samples),
            (what, name),
            report,
        )?;
    }
    listing(place, (&ours, &path), options, report)
}

fn git(place: &Place, path: &Path) -> std::process::Command {
    let mut git = program(place, "git");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .arg("-C")
        .arg(path);
    git
}

fn file(
    place: &Place,
    (ours, path): (&Ours, &Path),
    samples: usize,
    (what, name): (&str, &str),
    report: &mut Report,
) -> Outcome<()> {
    let mut wire = ours.wire()?;
    let read = format!("/api/v0/read-file?path={AT}/{name}");
    let (mut ours_bytes, mut git_bytes) = (0, 1);
    let mut contenders = vec![
        Contender::new(|| {
            let received = wire.get(&read, &mut |_| Ok(()))?;
            ours_bytes = received.bytes;
            Ok(received.taken)
        }),
        Contender::new(|| {
            let shown = drained(git(place, path).arg("show").arg(format!("HEAD:{name}")))?;
            git_bytes = shown.bytes;
            Ok(shown.taken)
        }),
    ];
    alternate(3, samples, &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    let row = Row::new(what, figure(0)).peer("git show", figure(1), Some(1.0));
    drop(contenders);
    if ours_bytes != git_bytes {
        return Err(format!("{ours_bytes} bytes, of git {git_bytes}").into());
    }
    report.add(row);
    Ok(())
}

fn listing(
    place: &Place,
    (ours, path): (&Ours, &Path),
    options: &Options,
    report: &mut Report,
) -> Outcome<()> {
    let mut clients = [ours.client()?, ours.client()?];
    let [one, two] = &mut clients;
    let mut mounts = 0_u64;
    let mut contenders = vec![
        Contender::new(|| whole_tree(one, AT)),
        Contender::new(|| {
            mounts += 1;
            let at = format!("{AT}-{mounts}");
            let body = json!({"at": at, "provider": "git", "repository": text(path)?});
            let (_, mount) = ours.post("/api/v0/mounts", &body, 201)?;
            let taken = whole_tree(two, &at)?;
            let id = mount["id"].as_str().ok_or("a mount has an id")?;
            let remove = two.request("DELETE", &format!("/api/v0/mounts/{id}"), &[], "");
            two.expect(&remove, 204)?;
            Ok(taken)
        }),
        Contender::new(|| {
            let shown = drained(git(place, path).args(["ls-tree", "-r", "-l", "HEAD"]))?;
            if shown.lines != FILES + 1 {
                return Err(format!("git lists {} files", shown.lines).into());
            }
            Ok(shown.taken)
        }),
    ];
    alternate(2, options.samples(30), &mut contenders)?;
    let figure = |at: usize| Figure::time(&contenders[at].samples);
    for (what, at) in [
        ("50 000 files of a commit listed", 0),
        ("the same, first time after mounting", 1),
    ] {
        report.add(Row::new(what, figure(at)).peer("git ls-tree -r -l", figure(2), Some(0.83)));
    }
    Ok(())
}

fn whole_tree(client: &mut Client, at: &str) -> Outcome<std::time::Duration> {
    let request = client.get(&format!("/api/v0/list?path={at}&depth=64&limit=100000"));
    let answer = client.expect(&request, 200)?;
    let sizes = answer
        .body
        .windows(7)
        .filter(|seven| *seven == b"\"mime\":")
        .count() as u64;
    if sizes != FILES + 1 {
        return Err(format!("{sizes} files are listed").into());
    }
    Ok(answer.taken)
}
