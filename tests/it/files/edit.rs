//! `edit-files`: every check, in its order; all files or none.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
};

use serde_json::{Value, json};

use super::helpers::{Case, ran};

fn one(path: &std::path::Path, old: &str, new: &str) -> Value {
    json!({"path": path, "edits": [{"old_text": old, "new_text": new}]})
}

fn message(answer: &Value) -> &str {
    answer["message"].as_str().expect("text")
}

#[tokio::test]
async fn texts_are_replaced_in_all_files() {
    let case = Case::new();
    let paths: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| case.file(name, format!("in {name}\n")))
        .collect();
    let inode = fs::metadata(&paths[0]).expect("there").ino();
    let files: Vec<_> = paths.iter().map(|path| one(path, "in", "out")).collect();
    let (status, answer) = case.edit(json!({"files": files})).await;
    assert_eq!((status, answer), (200, json!({})));
    for name in ["a", "b", "c"] {
        assert_eq!(
            fs::read_to_string(case.path(name)).expect("there"),
            format!("out {name}\n")
        );
    }
    assert_ne!(fs::metadata(&paths[0]).expect("there").ino(), inode);
    assert_eq!(case.names(), ["a", "b", "c"]);
    let missed = json!({"files": [one(&paths[0], "out", "x"), one(&paths[1], "nowhere", "x"), one(&paths[2], "out", "x")]});
    let (status, answer) = case.edit(missed).await;
    assert_eq!((status, &answer["code"]), (400, &json!("search_not_found")));
    assert_eq!(fs::read_to_string(&paths[0]).expect("there"), "out a\n");
    assert_eq!(
        (&answer["edits"][0]["file"], &answer["edits"][0]["edit"]),
        (&json!(1), &json!(0))
    );
    assert!(
        message(&answer).starts_with(paths[1].to_str().expect("text")),
        "{answer}"
    );
}

#[tokio::test]
async fn both_spellings_are_taken_and_the_new_one_wins() {
    let case = Case::new();
    let file = case.file("a", "one two three four");
    let edits = json!([
        {"search": "one", "replace": "1"},
        {"old_text": "two", "search": "three", "replace": "2"},
        {"search": "three", "new_text": "3", "replace": "III"},
        {"old_text": " four"},
    ]);
    let (status, answer) = case
        .edit(json!({"files": [{"path": file, "edits": edits}]}))
        .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(fs::read_to_string(&file).expect("there"), "1 2 3");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn requests_are_held_to_what_they_are() {
    let case = Case::new();
    let file = case.file("a", "x");
    let link = case.path("link");
    symlink("a", &link).expect("linked");
    fs::hard_link(&file, case.path("hard")).expect("linked");
    let dotted = format!("{}/./a", case.work.path().display());
    for (body, code, word) in [
        (json!({}), "no_files", "must specify at least one file"),
        (
            json!({"files": []}),
            "no_files",
            "must specify at least one file",
        ),
        (
            json!({"files": [{"edits": []}]}),
            "invalid_field",
            "\"path\" is required",
        ),
        (
            json!({"files": [{"path": ""}, {"path": ""}]}),
            "invalid_field",
            "\"path\" is required",
        ),
        (
            json!({"files": [one("a".as_ref(), "x", "y")]}),
            "path_not_absolute",
            "must be absolute",
        ),
        (
            json!({"files": [{"path": file}]}),
            "no_edits",
            "must specify at least one edit",
        ),
        (
            json!({"files": [one(&file, "x", "y"), one(&file, "x", "z")]}),
            "duplicate_path",
            "duplicate file path",
        ),
        (
            json!({"files": [one(&file, "x", "y"), one(&link, "x", "z")]}),
            "duplicate_path",
            "aliases",
        ),
        (
            json!({"files": [one(&file, "x", "y"), one(&case.path("hard"), "x", "z")]}),
            "duplicate_path",
            "aliases",
        ),
        (
            json!({"files": [one(&file, "x", "y"), one(dotted.as_ref(), "x", "z")]}),
            "duplicate_path",
            "aliases",
        ),
        (
            json!({"files": [one(&file, "", "y")]}),
            "search_empty",
            "search string must not be empty",
        ),
        (
            json!({"files": [one(case.work.path(), "x", "y")]}),
            "not_a_file",
            "not a file",
        ),
        (
            json!({"files": [one("/dev/zero".as_ref(), "x", "y")]}),
            "not_regular_file",
            "not a regular file",
        ),
        (json!({"files": "x"}), "invalid_json", ""),
    ] {
        let (status, answer) = case.edit(body.clone()).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!(code)),
            "{body}: {answer}"
        );
        assert!(message(&answer).contains(word), "{answer}");
    }
    assert_eq!(fs::read_to_string(&file).expect("there"), "x");
}

#[tokio::test]
async fn the_highest_status_comes_with_all_messages() {
    let case = Case::new();
    let (file, missing) = (case.file("a", "x x"), case.path("missing"));
    let dir = case.path("dir");
    fs::create_dir(&dir).expect("made");
    let secret = case.daemon.home().state().join("token");
    let body = json!({"files": [one(&file, "x", "y"), one(&secret, "x", "y"), one(&missing, "x", "y"), one(&dir, "x", "y")]});
    let (status, answer) = case.edit(body).await;
    assert_eq!((status, &answer["code"]), (404, &json!("not_found")));
    for word in [
        "matches 2 occurrences",
        "belongs to the daemon",
        "file does not exist",
        "not a file",
    ] {
        assert!(message(&answer).contains(word), "{answer}");
    }
    let codes: Vec<_> = answer["edits"]
        .as_array()
        .expect("records")
        .iter()
        .map(|record| record["code"].clone())
        .collect();
    assert_eq!(
        codes,
        [
            "search_ambiguous",
            "reserved_path",
            "not_found",
            "not_a_file"
        ]
    );
    assert_eq!(answer["edits"][0]["lines"], json!([1, 1]));
    let body = json!({"files": [one(&file, "x", "y"), one(&secret, "x", "y")]});
    assert_eq!(case.edit(body).await.0, 403);
    let large = fs::File::create(case.path("large")).expect("made");
    large.set_len((64 << 20) + 1).expect("sized");
    let (status, answer) = case
        .edit(json!({"files": [one(&case.path("large"), "x", "y")]}))
        .await;
    assert_eq!((status, &answer["code"]), (413, &json!("file_too_large")));
}

#[tokio::test]
async fn each_edit_is_made_to_the_result_of_the_one_before() {
    let case = Case::new();
    let file = case.file("a", "one\ntwo\n");
    let edits =
        json!([{"old_text": "one", "new_text": "two"}, {"old_text": "two", "new_text": "three"}]);
    let (status, answer) = case
        .edit(json!({"files": [{"path": file, "edits": edits}]}))
        .await;
    assert_eq!((status, &answer["edits"][0]["edit"]), (400, &json!(1)));
    assert!(message(&answer).contains("matches 2 occurrences"));
    let edits = json!([{"old_text": "one", "new_text": "two"}, {"old_text": "two", "new_text": "three", "replace_all": true}]);
    let body = json!({"files": [{"path": file, "edits": edits}], "include_results": true, "include_diff": true});
    let (_, answer) = case.edit(body).await;
    assert_eq!(
        answer["files"][0]["results"],
        json!([{"pass": 1, "line": 1, "count": 1, "lines": [1]}, {"pass": 1, "line": 1, "count": 2, "lines": [1, 2]}])
    );
    let path = file.display();
    let diff = format!("--- {path}\n+++ {path}\n@@ -1,2 +1,2 @@\n-one\n-two\n+three\n+three\n");
    assert_eq!(answer["files"][0]["diff"], diff);
    assert!(
        answer["files"][0]["etag"]
            .as_str()
            .expect("a tag")
            .starts_with("\"s-")
    );
}

#[tokio::test]
async fn a_dry_run_tells_and_leaves_everything() {
    let case = Case::new();
    let file = case.file("a", "\tone\n");
    let link = case.path("link");
    symlink("a", &link).expect("linked");
    let body = |dry_run| json!({"files": [one(&link, "  one\n", "  two\n")], "include_diff": true, "dry_run": dry_run});
    let (status, dry) = case.edit(body(true)).await;
    assert_eq!(status, 200, "{dry}");
    assert_eq!(fs::read_to_string(&file).expect("there"), "\tone\n");
    let (_, wet) = case.edit(body(false)).await;
    assert_eq!(fs::read_to_string(&file).expect("there"), "\ttwo\n");
    assert_eq!(dry["files"][0]["diff"], wet["files"][0]["diff"]);
    assert_eq!(
        (&dry["files"][0]["path"], dry["files"][0].get("etag")),
        (&json!(link), None)
    );
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    let nothing = json!({"files": [one(&file, "two", "two")], "include_diff": true});
    let before = fs::metadata(&file).expect("there").ino();
    let (_, answer) = case.edit(nothing).await;
    assert_eq!(
        (&answer["files"][0]["diff"], &answer["files"][0]["changed"]),
        (&json!(""), &json!(false))
    );
    assert_eq!(fs::metadata(&file).expect("there").ino(), before);
}

#[tokio::test]
async fn strictness_can_be_asked_for() {
    let case = Case::new();
    let file = case.file("a", "\tone\n");
    let edit = |fuzzy: Value, own: Value| json!({"files": [{"path": file, "edits": [{"old_text": "  one", "new_text": "  two", "fuzzy": own}]}], "fuzzy": fuzzy, "dry_run": true});
    assert_eq!(case.edit(edit(json!(false), Value::Null)).await.0, 400);
    assert_eq!(case.edit(edit(json!(false), json!(true))).await.0, 200);
    assert_eq!(case.edit(edit(json!(true), json!(false))).await.0, 400);
    let (_, answer) = case.edit(edit(json!(false), Value::Null)).await;
    assert!(
        !answer["edits"][0]["hints"]
            .as_array()
            .expect("hints")
            .is_empty(),
        "{answer}"
    );
    let blank = json!({"files": [one(&file, "   ", "x")]});
    assert_eq!(case.edit(blank).await.1["code"], "search_blank");
}

#[tokio::test]
async fn what_is_demanded_must_be_there() {
    let case = Case::new();
    let file = case.path("a");
    let tag = case.write(&file, "", "one").await.1["etag"].clone();
    let edit = |demand: &str, value: &Value, new: &str| {
        let mut body = json!({"path": file, "edits": [{"old_text": "one", "new_text": new}]});
        body[demand] = value.clone();
        json!({"files": [body]})
    };
    let (status, answer) = case.edit(edit("if_match", &json!("\"s-1\""), "two")).await;
    assert_eq!(
        (status, &answer["code"]),
        (412, &json!("precondition_failed"))
    );
    assert_eq!(answer["edits"][0]["etag"], tag);
    assert_eq!(case.edit(edit("if_match", &tag, "one 1")).await.0, 200);
    assert_eq!(case.edit(edit("if_match", &tag, "two")).await.0, 412);
    let hash = "24f3f9cf5e48a6c2a1d5f4a4f2a3d9cf6ad3ab35b3c1a2a2a87cbfb38a2c0c52";
    assert_eq!(
        case.edit(edit("expected_sha256", &json!(hash), "two"))
            .await
            .0,
        412
    );
    assert_eq!(
        case.edit(edit("expected_sha256", &json!("x"), "two"))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn of_many_edits_of_one_file_none_is_lost() {
    let case = Case::new();
    let lines: String = (0..50)
        .map(|line| format!("line {line};\n"))
        .collect::<Vec<_>>()
        .concat();
    let file = case.file("a", lines);
    let edits = (0..50).map(|line| {
        case.edit(
            json!({"files": [one(&file, &format!("line {line};"), &format!("done {line};"))]}),
        )
    });
    for (status, answer) in futures_util::future::join_all(edits).await {
        assert_eq!(status, 200, "{answer}");
    }
    let done: String = (0..50)
        .map(|line| format!("done {line};\n"))
        .collect::<Vec<_>>()
        .concat();
    assert_eq!(fs::read_to_string(&file).expect("there"), done);
}

#[tokio::test]
async fn a_file_that_cannot_be_replaced_rolls_back_those_before() {
    let Some(case) = Case::as_plain_user() else {
        return;
    };
    let open = |name: &str, mode| {
        fs::set_permissions(case.path(name), fs::Permissions::from_mode(mode)).expect("ours");
    };
    let mut paths = Vec::new();
    for name in ["a", "b"] {
        paths.push(case.file(name, "old"));
        open(name, 0o666);
    }
    let before: Vec<_> = paths
        .iter()
        .map(|path| fs::metadata(path).expect("there").ino())
        .collect();
    // A sticky directory lets nobody replace what is another's; and what cannot be read back is not written over.
    fs::create_dir(case.path("dir")).expect("made");
    open("dir", 0o755);
    paths.push(case.file("dir/c", "old"));
    open("dir/c", 0o444);
    let files: Vec<_> = paths.iter().map(|path| one(path, "old", "new")).collect();
    let (status, answer) = case.edit(json!({"files": files})).await;
    assert_eq!(
        (status, &answer["code"]),
        (403, &json!("permission_denied")),
        "{answer}"
    );
    for (path, inode) in paths.iter().zip(before) {
        assert_eq!(fs::read_to_string(path).expect("there"), "old");
        assert_eq!(
            fs::metadata(path).expect("there").ino(),
            inode,
            "the very same file"
        );
    }
}

#[tokio::test]
async fn a_third_file_that_cannot_be_replaced_gives_back_the_first_two() {
    let case = Case::new();
    let disk = case.path("disk");
    fs::create_dir(&disk).expect("made");
    let disk_text = disk.to_str().expect("text").to_owned();
    if !ran(
        "mount",
        &["-t", "tmpfs", "-o", "size=64k", "none", &disk_text],
    ) {
        return;
    }
    // A mount of its own is written in place, where there is no room.
    fs::write(disk.join("c"), "old").expect("written");
    let paths: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| case.file(name, "old"))
        .collect();
    let bound = paths[2].to_str().expect("text");
    let bind = ran("mount", &["--bind", &format!("{disk_text}/c"), bound]);
    let before: Vec<_> = paths
        .iter()
        .map(|path| fs::metadata(path).expect("there").ino())
        .collect();
    let large = "new".repeat(100_000);
    let files: Vec<_> = paths.iter().map(|path| one(path, "old", &large)).collect();
    let (status, answer) = case.edit(json!({"files": files})).await;
    let after: Vec<_> = paths
        .iter()
        .map(|path| {
            (
                fs::read_to_string(path).expect("there"),
                fs::metadata(path).expect("there").ino(),
            )
        })
        .collect();
    if bind {
        ran("umount", &[bound]);
    }
    ran("umount", &[&disk_text]);
    if !bind {
        return;
    }
    assert_eq!(
        (status, &answer["code"]),
        (507, &json!("no_space")),
        "{answer}"
    );
    assert!(
        answer["detail"]
            .as_str()
            .expect("text")
            .contains("put back"),
        "{answer}"
    );
    for ((text, inode), before) in after.into_iter().zip(before) {
        assert_eq!(
            (text.as_str(), inode),
            ("old", before),
            "the very same file"
        );
    }
    assert_eq!(case.names(), ["a", "b", "c", "disk"]);
}

#[tokio::test]
async fn a_request_may_be_so_large_and_no_larger() {
    let home = crate::support::daemon::Home::new();
    let case = Case {
        daemon: crate::support::daemon::Daemon::start_in(&home, &["--max-edit-body", "4096"]),
        work: tempfile::tempdir().expect("a directory"),
    };
    let file = case.file("a", "old\n");
    for (length, due) in [(100, 200), (5000, 413)] {
        let text = "x".repeat(length);
        let edit = json!({"old_text": "old", "new_text": format!("old{text}")});
        let (status, answer) = case
            .edit(json!({"files": [{"path": file, "edits": [edit]}]}))
            .await;
        assert_eq!(status, due, "{answer}");
        if due == 413 {
            assert_eq!(answer["code"], "body_too_large");
        }
    }
}
