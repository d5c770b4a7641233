//! Searching: equal options give what ripgrep gives.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, json as json_of};

async fn search(daemon: &Daemon, body: Value) -> Value {
    let (status, answer) = json_of(daemon.post("/api/v0/search", body).await).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// A tree with what searches stumble over.
fn grow(root: &Path) {
    let write = |name: &str, bytes: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    };
    write(".gitignore", b"target/\n*.log\n!kept.log\n");
    write("sub/.gitignore", b"/inner\n");
    write("sub/.ignore", b"*.tmp\n");
    write("target/out.rs", b"needle\n");
    write("a.log", b"needle\n");
    write("kept.log", b"needle\n");
    write("sub/inner/x.rs", b"needle\n");
    write("sub/b.tmp", b"needle\n");
    write(".hidden/x.rs", b"needle\n");
    write(".github.rs", b"needle\n");
    write("crlf.txt", b"one\r\nneedle two\r\nthree needle\r\n");
    write("latin.txt", b"caf\xe9 needle\nplain\n");
    write("binary.bin", b"needle\n\0needle\n");
    write("none.txt", b"nothing here\n");
    write("no_end.txt", b"x\nneedle");
    write(
        "long.txt",
        &[
            vec![b'x'; 5000],
            b"needle".to_vec(),
            vec![b'y'; 5000],
            b"\n".to_vec(),
        ]
        .concat(),
    );
    write(
        "utf16.txt",
        &[
            &[0xff, 0xfe][..],
            &"needle\n"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>(),
        ]
        .concat(),
    );
    for index in 0..200 {
        write(
            &format!("many/d{}/f{index}.rs", index % 7),
            format!("fn f{index}() {{}}\n// Needle {index}\n// needle\n").as_bytes(),
        );
    }
}

/// What ripgrep finds: path and number of each line.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn ripgrep(root: &Path, arguments: &[&str]) -> BTreeSet<(String, u64)> {
    let output = Command::new("rg")
        .args([
            "--json",
            "--no-config",
            "--no-require-git",
            "--no-ignore-global",
        ])
        .args(arguments)
        .arg("--")
        .arg("needle")
        .arg(root)
        .current_dir(root)
        .output()
        .expect("ripgrep is installed");
    let lines = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let records = lines.map(|line| serde_json::from_slice::<Value>(line).expect("JSON"));
    let matches = records
        .filter(|record| record["type"] == "match")
        .map(|record| {
            let data = &record["data"];
            (
                data["path"]["text"].as_str().expect("text").to_owned(),
                data["line_number"].as_u64().expect("a number"),
            )
        });
    matches.collect()
}

fn found(answer: &Value) -> BTreeSet<(String, u64)> {
    let matches = answer["matches"].as_array().expect("matches");
    let pair = |record: &Value| {
        (
            record["path"].as_str().expect("a path").to_owned(),
            record["line"].as_u64().expect("a line"),
        )
    };
    matches.iter().map(pair).collect()
}

#[tokio::test]
async fn equal_options_find_what_ripgrep_finds() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("tree");
    grow(&root);
    let cases: [(&[&str], Value); 8] = [
        (&[], json!({})),
        (&["--hidden"], json!({"hidden": true})),
        (&["--no-ignore"], json!({"ignore": false})),
        (&["-i"], json!({"case": "insensitive"})),
        (&["-a"], json!({"binary": "text"})),
        (
            &["-g", "*.rs", "-g", "!many/d3/**"],
            json!({"glob": ["*.rs", "!many/d3/**"]}),
        ),
        (&["-t", "rust"], json!({"types": ["rust"]})),
        (&["-w", "-F"], json!({"word": true, "syntax": "literal"})),
    ];
    for (arguments, options) in cases {
        let mut body = json!({"root": root, "pattern": "needle", "limit": 100_000});
        body.as_object_mut()
            .expect("an object")
            .extend(options.as_object().expect("an object").clone());
        let answer = search(&daemon, body).await;
        assert_eq!(answer["end"]["stopped"], "done");
        assert_eq!(found(&answer), ripgrep(&root, arguments), "{arguments:?}");
    }
}

#[tokio::test]
async fn pages_by_cursor_join_to_the_whole() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("tree");
    grow(&root);
    let whole = search(
        &daemon,
        json!({"root": root, "pattern": "(?i)needle", "limit": 100_000}),
    )
    .await;
    let mut joined = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let body = json!({"root": root, "pattern": "(?i)needle", "limit": 7, "cursor": cursor});
        let page = search(&daemon, body).await;
        let records = page["matches"].as_array().expect("matches");
        assert!(records.len() <= 7);
        joined.extend(records.clone());
        cursor = page["end"]["cursor"].clone();
        if cursor.is_null() {
            break;
        }
        assert_eq!(page["end"]["stopped"], "limit");
    }
    assert_eq!(&joined, whole["matches"].as_array().expect("matches"));
    let other = json!({"root": root, "pattern": "other", "cursor": "e30"});
    let (status, body) = json_of(daemon.post("/api/v0/search", other).await).await;
    assert_eq!((status, &body["code"]), (400, &"bad_cursor".into()));
}

#[tokio::test]
async fn a_line_is_told_with_what_is_around_it() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("tree");
    grow(&root);
    fs::write(root.join("context.txt"), "a\nb\nfind me, find\nc\nd\n").expect("written");
    let answer = search(
        &daemon,
        json!({"root": root, "pattern": "find", "glob": ["context.txt"], "context": 1}),
    )
    .await;
    let line = &answer["matches"][0];
    assert_eq!(
        (&line["line"], &line["column"], &line["text"]),
        (&json!(3), &json!(1), &json!("find me, find"))
    );
    assert_eq!(line["spans"], json!([[0, 4], [9, 13]]));
    assert_eq!(
        (&line["before"], &line["after"]),
        (&json!(["b"]), &json!(["c"]))
    );
    let long = search(
        &daemon,
        json!({"root": root.join("long.txt"), "pattern": "needle"}),
    )
    .await;
    let line = &long["matches"][0];
    assert_eq!(
        (&line["cut"], &line["column"]),
        (&json!(true), &json!(5001))
    );
    let text = line["text"].as_str().expect("text");
    let (from, to) = (
        line["spans"][0][0].as_u64().expect("from"),
        line["spans"][0][1].as_u64().expect("to"),
    );
    assert_eq!(text.len(), 2048);
    assert_eq!(
        &text[usize::try_from(from).expect("small")..usize::try_from(to).expect("small")],
        "needle"
    );
    let latin = search(
        &daemon,
        json!({"root": root.join("latin.txt"), "pattern": "needle"}),
    )
    .await;
    assert_eq!(latin["matches"][0]["text"], "caf\u{fffd} needle");
    assert_eq!(latin["matches"][0]["text_base64"], "Y2Fm6SBuZWVkbGU=");
}

#[tokio::test]
async fn bounds_hold_and_files_and_counts_are_told() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("tree");
    grow(&root);
    let base = json!({"root": root, "pattern": "needle", "glob": ["many/**"]});
    let with = |more: Value| {
        let mut body = base.clone();
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        body
    };
    let counts = search(&daemon, with(json!({"output": "counts", "limit": 1000}))).await;
    assert_eq!(counts["matches"].as_array().expect("counts").len(), 200);
    assert_eq!(
        (
            &counts["matches"][0]["type"],
            &counts["matches"][0]["count"]
        ),
        (&json!("count"), &json!(1))
    );
    let files = search(&daemon, with(json!({"output": "files", "limit": 3}))).await;
    assert_eq!(
        (&files["end"]["stopped"], &files["matches"][0]["type"]),
        (&json!("limit"), &json!("file"))
    );
    let small = search(&daemon, with(json!({"max_bytes": 500}))).await;
    assert_eq!(small["end"]["stopped"], "max_bytes");
    for (field, value) in [
        ("limit", json!(100_001)),
        ("context", json!(51)),
        ("timeout_ms", json!(600_001)),
        ("max_bytes", json!(67_108_865)),
    ] {
        let (status, body) = json_of(
            daemon
                .post("/api/v0/search", with(json!({ field: value })))
                .await,
        )
        .await;
        assert_eq!(
            (status, &body["validations"][0]["field"]),
            (400, &json!(field))
        );
    }
    for pattern in ["(", "a{1000}{1000}{1000}"] {
        let body = json!({"root": root, "pattern": pattern});
        let (status, body) = json_of(daemon.post("/api/v0/search", body).await).await;
        assert_eq!(
            (status, &body["code"]),
            (400, &json!("bad_pattern")),
            "{pattern}"
        );
    }
    // What would take other engines for ever is linear.
    fs::write(root.join("aaa.txt"), "a".repeat(100_000)).expect("written");
    let answer = search(
        &daemon,
        json!({"root": root.join("aaa.txt"), "pattern": "(a+)+$|(a|aa)+b"}),
    )
    .await;
    assert_eq!(answer["end"]["stopped"], "done");
}

#[tokio::test]
async fn records_come_one_a_line_and_the_last_is_the_end() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("tree");
    grow(&root);
    let answer = daemon
        .request(Method::POST, "/api/v0/search")
        .header("accept", "application/x-ndjson")
        .json(&json!({"root": root, "pattern": "needle"}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let text = answer.text().await.expect("text");
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (end, matches) = records.split_last().expect("records");
    assert_eq!(
        (&end["type"], &end["stopped"]),
        (&json!("end"), &json!("done"))
    );
    assert_eq!(end["matches"], json!(matches.len()));
}

#[tokio::test]
async fn paths_begin_with_the_root_as_it_was_spelled() {
    let daemon = Daemon::start(&[]);
    let home = daemon.home().path().to_owned();
    fs::create_dir_all(home.join("real/d")).expect("made");
    fs::write(home.join("real/d/a"), "needle\n").expect("written");
    std::os::unix::fs::symlink("real", home.join("link")).expect("linked");
    std::os::unix::fs::symlink("d/a", home.join("real/file")).expect("linked");
    for (root, due) in [
        ("real", "real/d/a"),
        ("link", "link/d/a"),
        ("link/", "link/d/a"),
        ("./link/d", "link/d/a"),
        ("link/file", "link/file"),
        ("link/../real", "real/d/a"),
    ] {
        let body = json!({"root": home.join(root), "pattern": "needle"});
        let found = search(&daemon, body).await;
        let paths: Vec<_> = found["matches"]
            .as_array()
            .expect("a list")
            .iter()
            .collect();
        assert_eq!(paths.len(), 1, "{root}: {found}");
        assert_eq!(paths[0]["path"], json!(home.join(due)), "{root}");
    }
}

#[tokio::test]
async fn many_files_are_searched_in_any_order() {
    let daemon = Daemon::start(&[]);
    let home = daemon.home().path().to_owned();
    let tree = home.join("tree");
    fs::create_dir(&tree).expect("made");
    // More than may be searched ahead of the one whose turn it is.
    for number in 0..3000 {
        fs::write(tree.join(number.to_string()), "needle\n").expect("written");
    }
    for sort in ["none", "path"] {
        let body = json!({"root": tree, "pattern": "needle", "limit": 100_000, "sort": sort, "timeout_ms": 60_000});
        let found = search(&daemon, body).await;
        assert_eq!(found["matches"].as_array().expect("a list").len(), 3000);
        assert_eq!(
            (&found["end"]["stopped"], &found["end"]["files_searched"]),
            (&json!("done"), &json!(3000)),
            "{sort}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_short_meanwhile_kills_nobody() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("cut");
    fs::create_dir(&root).expect("made");
    let path = root.join("f");
    let line = "some text with a needle in it\n".repeat(200_000);
    fs::write(&path, &line).expect("written");
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = std::sync::Arc::clone(&over);
    let cutter = tokio::task::spawn_blocking(move || {
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let file = fs::File::options().write(true).open(&path);
            file.and_then(|file| file.set_len(100)).expect("cut");
            fs::write(&path, &line).expect("written");
        }
    });
    for _ in 0..20 {
        let body = json!({"root": root, "pattern": "needle", "output": "counts"});
        let found = search(&daemon, body).await;
        assert_eq!(found["end"]["stopped"], "done", "{found}");
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    cutter.await.expect("it ends");
}

#[tokio::test]
async fn patterns_that_explode_elsewhere_stay_linear() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("slow");
    fs::create_dir(&root).expect("made");
    let lines = format!("{}\n", "a".repeat(1000)).repeat(300);
    fs::write(root.join("f"), lines).expect("written");
    for pattern in [
        "(a*)*b",
        "(a|a)*$b",
        "(a|aa)+$^",
        "(.*)*(.*)*(.*)*x",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
    ] {
        let found = search(&daemon, json!({"root": root, "pattern": pattern})).await;
        assert_eq!(found["end"]["stopped"], "done", "{pattern}: {found}");
        assert_eq!(found["end"]["matches"], 0, "{pattern}");
    }
    for pattern in ["(", "a{1000}{1000}{1000}", "[z-a]", "(?P<>x)"] {
        let body = json!({"root": root, "pattern": pattern});
        let (status, said) = json_of(daemon.post("/api/v0/search", body).await).await;
        assert_eq!(
            (status, &said["code"]),
            (400, &json!("bad_pattern")),
            "{said}"
        );
    }
}
