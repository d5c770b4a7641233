//! Archives: what goes out comes in again, by us and by the programs that others use; what means harm changes nothing.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, json as json_of};

/// What lies at each path: kind, permissions, and content or target.
fn shape(root: &Path) -> BTreeMap<PathBuf, (char, u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut due = vec![root.to_owned()];
    while let Some(directory) = due.pop() {
        for entry in fs::read_dir(&directory).expect("a directory").flatten() {
            let path = entry.path();
            let about = fs::symlink_metadata(&path).expect("it is there");
            let name = path.strip_prefix(root).expect("below").to_owned();
            let mode = about.permissions().mode() & 0o777;
            let what = if about.is_dir() {
                due.push(path);
                ('d', mode, Vec::new())
            } else if about.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                ('l', 0, target.into_os_string().into_encoded_bytes())
            } else {
                ('f', mode, fs::read(&path).expect("a file"))
            };
            found.insert(name, what);
        }
    }
    found
}

fn grow(root: &Path) {
    fs::create_dir_all(root.join("a/empty")).expect("made");
    fs::write(root.join("a/text"), "some text\n").expect("written");
    fs::write(root.join("a/large"), vec![7; 3 << 20]).expect("written");
    fs::write(root.join("run.sh"), "#!/bin/sh\n").expect("written");
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("set");
    fs::write(root.join("ä name"), "").expect("written");
    fs::write(root.join(format!("a/{}", "n".repeat(200))), "long").expect("written");
    symlink("a/text", root.join("link")).expect("linked");
    symlink("../run.sh", root.join("a/up")).expect("linked");
}

#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn run(program: &str, arguments: &[&str], directory: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn read(daemon: &Daemon, path: &Path, rest: &str) -> Vec<u8> {
    let answer = daemon
        .get(&format!("/api/v0/archive?path={}{rest}", path.display()))
        .await;
    assert_eq!(answer.status(), 200);
    answer.bytes().await.expect("whole").to_vec()
}

async fn write(daemon: &Daemon, path: &Path, rest: &str, bytes: Vec<u8>) -> (u16, Value) {
    let path = format!("/api/v0/archive?path={}{rest}", path.display());
    let answer = daemon.request(Method::PUT, &path).body(bytes).send().await;
    json_of(answer.expect("an answer")).await
}

#[tokio::test]
async fn what_goes_out_comes_in_again_in_each_format() {
    let daemon = Daemon::start(&[]);
    let home = daemon.home().path().to_owned();
    let source = home.join("source");
    grow(&source);
    for format in ["tar", "tar.gz", "zip"] {
        let bytes = read(&daemon, &source, &format!("&format={format}")).await;
        let target = home.join(format!("into-{format}"));
        let (status, body) = write(&daemon, &target, "", bytes).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(
            (&body["files"], &body["dirs"], &body["links"]),
            (&json!(5), &json!(2), &json!(2)),
            "{format}"
        );
        assert_eq!(shape(&target), shape(&source), "{format}");
    }
}

#[tokio::test]
async fn other_programs_read_ours_and_we_read_theirs() {
    let daemon = Daemon::start(&[]);
    let home = daemon.home().path().to_owned();
    let source = home.join("source");
    grow(&source);
    let readers: [(&str, &str, &[&str]); 4] = [
        ("tar", "tar", &["-xpf", "../x"]),
        ("tar.gz", "bsdtar", &["-xpf", "../x"]),
        ("zip", "unzip", &["-q", "../x"]),
        (
            "tar",
            "python3",
            &["-c", "import tarfile; tarfile.open('../x').extractall()"],
        ),
    ];
    for (format, program, arguments) in readers {
        fs::write(
            home.join("x"),
            read(&daemon, &source, &format!("&format={format}")).await,
        )
        .expect("written");
        let target = home.join(format!("by-{program}"));
        fs::create_dir(&target).expect("made");
        run(program, arguments, &target);
        assert_eq!(shape(&target), shape(&source), "{program}");
    }
    let writers: [(&str, &[&str]); 5] = [
        ("tar", &["-cf", "../y", "."]),
        ("tar", &["--format=pax", "-czf", "../y", "."]),
        ("bsdtar", &["-cf", "../y", "."]),
        ("zip", &["-qry", "../y.zip", "."]),
        (
            "python3",
            &[
                "-c",
                "import tarfile\nwith tarfile.open('../y', 'w') as made: made.add('.')",
            ],
        ),
    ];
    for (index, (program, arguments)) in writers.into_iter().enumerate() {
        run(program, arguments, &source);
        let made = if program == "zip" {
            home.join("y.zip")
        } else {
            home.join("y")
        };
        let target = home.join(format!("from-{index}"));
        let (status, body) = write(&daemon, &target, "", fs::read(made).expect("made")).await;
        assert_eq!(status, 200, "{program}: {body}");
        assert_eq!(shape(&target), shape(&source), "{program}");
    }
}

/// Kind, name, target or content.
type Entry<'a> = (u8, &'a [u8], &'a [u8]);

/// A tar archive of entries.
fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut all = Vec::new();
    for (kind, name, content) in entries {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name);
        header[100..107].copy_from_slice(b"0000644");
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        let size = if *kind == b'0' { content.len() } else { 0 };
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[156] = *kind;
        if *kind != b'0' {
            header[157..157 + content.len()].copy_from_slice(content);
        }
        header[257..263].copy_from_slice(b"ustar\0");
        header[263..265].copy_from_slice(b"00");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        all.extend_from_slice(&header);
        if *kind == b'0' {
            all.extend_from_slice(content);
            all.resize(all.len().next_multiple_of(512), 0);
        }
    }
    all.resize(all.len() + 1024, 0);
    all
}

#[tokio::test]
async fn what_would_reach_out_changes_nothing() {
    let daemon = Daemon::start(&[]);
    let home = daemon.home().path().to_owned();
    let target = home.join("target");
    fs::create_dir(&target).expect("made");
    fs::write(target.join("keep"), "old").expect("written");
    let before = shape(&home.join("target"));
    let good: Entry<'_> = (b'0', b"keep", b"new");
    let hostile: [&[Entry<'_>]; 9] = [
        &[good, (b'0', b"/etc/x", b"x")],
        &[good, (b'0', b"../x", b"x")],
        &[good, (b'0', b"a/../../x", b"x")],
        &[good, (b'2', b"l", b"/etc")],
        &[good, (b'2', b"l", b"../out")],
        &[good, (b'2', b"a/l", b"../../out")],
        &[good, (b'2', b"d", b"."), (b'2', b"m", b"d/../../out")],
        &[good, (b'2', b"l", b"keep"), (b'0', b"l/x", b"x")],
        &[good, (b'1', b"h", b"../../etc/passwd")],
    ];
    for entries in hostile {
        let (status, body) = write(&daemon, &target, "", tar_of(entries)).await;
        assert_eq!(
            (status, &body["code"]),
            (400, &json!("unsafe_entry")),
            "{body}"
        );
        assert_eq!(shape(&target), before, "{body}");
    }
    let whole = tar_of(&[good, (b'0', b"b", &[1; 2000])]);
    for cut in [0, 100, 512, 1000, 1024, 3000] {
        let (status, body) = write(&daemon, &target, "", whole[..cut].to_vec()).await;
        assert_eq!(
            (status, &body["code"]),
            (400, &json!("bad_archive")),
            "{cut}"
        );
        assert_eq!(shape(&target), before, "{cut}");
    }
    let (status, body) = write(&daemon, &target, "&max_bytes=1000", whole.clone()).await;
    assert_eq!((status, &body["code"]), (413, &json!("archive_too_large")));
    let (status, body) = write(&daemon, &target, "&max_entries=1", whole.clone()).await;
    assert_eq!((status, &body["code"]), (413, &json!("archive_too_large")));
    let deep = home.join("made/for/target");
    let (status, _) = write(&daemon, &deep, "&max_bytes=1000", whole.clone()).await;
    assert_eq!(status, 413);
    assert!(
        !home.join("made").exists(),
        "what was made for it went with it"
    );
    let (status, body) = write(&daemon, &target, "&overwrite=false", whole).await;
    assert_eq!((status, &body["code"]), (409, &json!("already_exists")));
    assert_eq!(shape(&target), before);
}

#[tokio::test]
async fn nothing_is_written_through_a_link_at_the_target() {
    let daemon = Daemon::start(&[]);
    let home = daemon.home().path().to_owned();
    let (target, outside) = (home.join("target"), home.join("outside"));
    fs::create_dir(&target).expect("made");
    fs::create_dir(&outside).expect("made");
    symlink(&outside, target.join("d")).expect("linked");
    symlink(outside.join("f"), target.join("f")).expect("linked");
    let through = tar_of(&[(b'0', b"first", b"1"), (b'0', b"d/x", b"x")]);
    let (status, body) = write(&daemon, &target, "", through).await;
    assert_eq!((status, &body["code"]), (409, &json!("link_in_the_way")));
    assert!(!target.join("first").exists());
    let over = tar_of(&[(b'0', b"f", b"a file now")]);
    let (status, body) = write(&daemon, &target, "", over).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        fs::read_to_string(target.join("f")).expect("a file"),
        "a file now"
    );
    assert!(!target.join("f").is_symlink());
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 0);
}

#[tokio::test]
async fn bombs_stop_at_their_bound_and_leave_nothing() {
    let daemon = Daemon::start(&[]);
    let home = daemon.home().path().to_owned();
    let target = home.join("target");
    let zeros = vec![0_u8; 64 << 20];
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed
        .write_all(&tar_of(&[(b'0', b"zeros", &zeros)]))
        .expect("packed");
    let packed = packed.finish().expect("packed");
    assert!(packed.len() < 1 << 20);
    let (status, body) = write(&daemon, &target, "&max_bytes=1048576", packed).await;
    assert_eq!((status, &body["code"]), (413, &json!("archive_too_large")));
    assert!(!target.exists());
    let left = fs::read_dir(&home).expect("there").flatten();
    let left: Vec<_> = left
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".deskd-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_staging() {
    use tokio::{io::AsyncWriteExt, net::TcpStream};
    let daemon = Daemon::start(&[]);
    let home = daemon.home().path().to_owned();
    let there = home.join("there");
    fs::create_dir(&there).expect("made");
    let bytes = vec![1; 600_000];
    let whole = tar_of(&[(b'0', b"a", &bytes), (b'0', b"b", &bytes)]);
    for target in [&there, &home.join("new/target")] {
        let path = crate::files::helpers::query(target);
        let mut stream = TcpStream::connect(&daemon.address).await.expect("open");
        let head = format!(
            "PUT /api/v0/archive?path={path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\n\r\n",
            daemon.address,
            daemon.token(),
            whole.len()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&whole[..1_000_000]).await.expect("sent");
        let staged = || {
            let entries = fs::read_dir(target.parent().expect("above")).into_iter();
            let inside = fs::read_dir(target).into_iter();
            entries
                .chain(inside)
                .flatten()
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with(".deskd-"))
        };
        crate::support::eventually("it is staged", staged).await;
        drop(stream);
        crate::support::eventually("the staging is gone", || !staged()).await;
    }
    crate::support::eventually("and what was made for it", || !home.join("new").exists()).await;
    assert!(shape(&there).is_empty());
}
