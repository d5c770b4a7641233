//! Changing the tree.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use super::helpers::{Case, mode, names, ran};
use crate::support::daemon::{Daemon, Home, deskd_serve, json as answer};

pub async fn get(case: &Case, route: &str, path: impl AsRef<Path>, more: &str) -> (u16, Value) {
    answer(
        case.request(Method::GET, route, path, more)
            .send()
            .await
            .expect("an answer"),
    )
    .await
}

pub async fn post(case: &Case, route: &str, body: Value) -> (u16, Value) {
    answer(case.daemon.post(&format!("/api/v0/{route}"), body).await).await
}

pub async fn refused(case: &Case, route: &str, body: Value, status: u16, code: &str) {
    let (got, answer) = post(case, route, body.clone()).await;
    assert_eq!(
        (got, answer["code"].as_str()),
        (status, Some(code)),
        "{route} {body}: {answer}"
    );
}

pub async fn done(case: &Case, route: &str, body: Value) -> Value {
    let (status, answer) = post(case, route, body.clone()).await;
    assert_eq!(status, 200, "{route} {body}: {answer}");
    answer
}

#[tokio::test]
async fn directories_are_made_with_those_above_them() {
    let case = Case::new();
    let made = done(
        &case,
        "mkdir",
        json!({"path": case.path("a/b/c"), "mode": "0750"}),
    )
    .await;
    assert_eq!(
        (&made["created"], &made["entry"]["mode"]),
        (&json!(true), &json!("0750"))
    );
    assert_eq!(mode(case.path("a/b/c")), 0o750);
    let again = done(&case, "mkdir", json!({"path": case.path("a/b/c")})).await;
    assert_eq!(again["created"], false);
    let exclusive = json!({"path": case.path("a"), "exclusive": true});
    refused(&case, "mkdir", exclusive, 409, "already_exists").await;
    let alone = json!({"path": case.path("x/y"), "parents": false});
    refused(&case, "mkdir", alone, 404, "not_found").await;
    case.file("file", "");
    refused(
        &case,
        "mkdir",
        json!({"path": case.path("file")}),
        409,
        "already_exists",
    )
    .await;
    refused(
        &case,
        "mkdir",
        json!({"path": case.path("file/x")}),
        400,
        "not_a_directory",
    )
    .await;
    refused(
        &case,
        "mkdir",
        json!({"path": case.path("q"), "mode": "9"}),
        400,
        "invalid_field",
    )
    .await;
    refused(&case, "mkdir", json!({}), 400, "invalid_field").await;
}

#[tokio::test]
async fn removing_takes_the_link_and_never_what_it_leads_to() {
    let case = Case::new();
    fs::create_dir_all(case.path("d/e")).expect("made");
    case.file("d/e/f", "");
    case.file("kept", "");
    symlink(case.path("kept"), case.path("d/link")).expect("linked");
    symlink("/etc", case.path("d/etc")).expect("linked");
    symlink("d", case.path("alias")).expect("linked");
    refused(
        &case,
        "remove",
        json!({"path": case.path("d")}),
        409,
        "directory_not_empty",
    )
    .await;
    assert_eq!(
        done(&case, "remove", json!({"path": case.path("alias")})).await["removed"],
        1
    );
    let whole = done(
        &case,
        "remove",
        json!({"path": case.path("d"), "recursive": true}),
    )
    .await;
    assert_eq!(whole["removed"], 5);
    assert_eq!(case.names(), ["kept"]);
    assert!(Path::new("/etc/passwd").exists());
    refused(
        &case,
        "remove",
        json!({"path": case.path("d")}),
        404,
        "not_found",
    )
    .await;
    let missing = json!({"path": case.path("d"), "missing_ok": true});
    assert_eq!(done(&case, "remove", missing).await["removed"], 0);
    let stale = json!({"path": case.path("kept"), "if_match": "\"s-1\""});
    let (status, body) = post(&case, "remove", stale).await;
    assert_eq!(
        (status, body["code"].as_str()),
        (412, Some("precondition_failed"))
    );
    let tag = body["etag"].as_str().expect("the tag").to_owned();
    let fresh = json!({"path": case.path("kept"), "if_match": tag});
    assert_eq!(done(&case, "remove", fresh).await["removed"], 1);
}

#[tokio::test]
async fn roots_are_not_removed_by_whatever_path() {
    let case = Case::new();
    let home = case.daemon.home().path().to_owned();
    symlink("/", case.path("top")).expect("linked");
    symlink(home.parent().expect("a parent"), case.path("above")).expect("linked");
    let name = home.file_name().expect("a name");
    for path in [
        Path::new("/").to_owned(),
        case.path("top/../.."),
        case.path("top/."),
        home.clone(),
        home.parent().expect("a parent").to_owned(),
        case.path("above").join(name),
        case.path("../../../../../../../..")
            .join(home.strip_prefix("/").expect("absolute").join("x/..")),
    ] {
        let body = json!({"path": path, "recursive": true});
        let (status, answer) = post(&case, "remove", body).await;
        // A link that is the last name goes itself: only `top/.` is one.
        let link = path.ends_with("top");
        assert!(
            status == 400 && answer["code"] == "refuses_root" || link,
            "{path:?}: {answer}"
        );
    }
    assert!(home.join("log").exists());
}

#[tokio::test]
async fn a_removal_never_leaves_by_a_directory_that_was_swapped_for_a_link() {
    let case = Case::new();
    let outside = tempfile::tempdir().expect("a directory");
    fs::write(outside.path().join("canary"), "").expect("written");
    let (swapped, link) = (case.path("tree/d"), case.path("tree/l"));
    let outside_path = outside.path().to_owned();
    for _ in 0..40 {
        fs::create_dir_all(&swapped).expect("made");
        for number in 0..20 {
            fs::write(swapped.join(format!("canary{number}")), "").expect("written");
        }
        fs::write(swapped.join("canary"), "").expect("written");
        let (from, to, target) = (swapped.clone(), link.clone(), outside_path.clone());
        let swapper = std::thread::Builder::new().spawn(move || {
            let _ = symlink(&target, &to);
            for _ in 0..200 {
                let _ = fs::rename(&from, from.with_file_name("away"));
                let _ = fs::rename(&to, &from);
                let _ = fs::rename(&from, &to);
                let _ = fs::rename(from.with_file_name("away"), &from);
            }
        });
        let _ = post(
            &case,
            "remove",
            json!({"path": case.path("tree"), "recursive": true}),
        )
        .await;
        swapper.expect("a thread").join().expect("no panic");
        let _ = post(
            &case,
            "remove",
            json!({"path": case.path("tree"), "recursive": true}),
        )
        .await;
        assert!(outside_path.join("canary").exists());
    }
}

#[tokio::test]
async fn a_move_gives_the_new_name_itself() {
    let case = Case::new();
    let from = case.file("a", "text");
    fs::create_dir(case.path("dir")).expect("made");
    refused(
        &case,
        "move",
        json!({"from": from, "to": case.path("dir")}),
        409,
        "already_exists",
    )
    .await;
    let over = json!({"from": from, "to": case.path("dir"), "overwrite": true});
    refused(&case, "move", over, 400, "not_a_file").await;
    let moved = done(
        &case,
        "move",
        json!({"from": from, "to": case.path("dir/b")}),
    )
    .await;
    assert_eq!(moved["path"], json!(case.path("dir/b")));
    let over = json!({"from": case.path("dir"), "to": case.file("f", ""), "overwrite": true});
    refused(&case, "move", over, 400, "not_a_directory").await;
    let inside = json!({"from": case.path("dir"), "to": case.path("dir/sub")});
    refused(&case, "move", inside, 400, "invalid_field").await;
    let deep = json!({"from": case.path("dir"), "to": case.path("n/m")});
    refused(&case, "move", deep, 404, "not_found").await;
    let deep = json!({"from": case.path("dir"), "to": case.path("n/m"), "mkdir": true});
    done(&case, "move", deep).await;
    assert_eq!(fs::read(case.path("n/m/b")).expect("read"), b"text");
    fs::create_dir(case.path("empty")).expect("made");
    fs::create_dir(case.path("full")).expect("made");
    case.file("full/x", "");
    let over = json!({"from": case.path("n"), "to": case.path("full"), "overwrite": true});
    refused(&case, "move", over, 409, "directory_not_empty").await;
    let over = json!({"from": case.path("n"), "to": case.path("empty"), "overwrite": true});
    done(&case, "move", over).await;
    assert_eq!(names(&case.path("empty")), ["m"]);
    symlink("nowhere", case.path("link")).expect("linked");
    done(
        &case,
        "move",
        json!({"from": case.path("link"), "to": case.path("renamed")}),
    )
    .await;
    assert_eq!(
        fs::read_link(case.path("renamed")).expect("a link"),
        Path::new("nowhere")
    );
    refused(
        &case,
        "move",
        json!({"from": "/", "to": case.path("x")}),
        400,
        "refuses_root",
    )
    .await;
    refused(
        &case,
        "move",
        json!({"from": case.path("none"), "to": case.path("x")}),
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn a_copy_appears_whole_with_modes_times_and_links() {
    let case = Case::new();
    fs::create_dir_all(case.path("s/d")).expect("made");
    case.file("s/d/f", vec![7; 600_000]);
    case.file("s/run", "#!/bin/sh");
    fs::set_permissions(case.path("s/run"), fs::Permissions::from_mode(0o755)).expect("set");
    fs::set_permissions(case.path("s/d"), fs::Permissions::from_mode(0o500)).expect("set");
    symlink("run", case.path("s/link")).expect("linked");
    assert!(ran(
        "mkfifo",
        &[case.path("s/fifo").to_str().expect("text")]
    ));
    let copied = done(
        &case,
        "copy",
        json!({"from": case.path("s"), "to": case.path("t")}),
    )
    .await;
    assert_eq!(
        (&copied["files"], &copied["bytes"]),
        (&json!(2), &json!(600_009))
    );
    assert_eq!(copied["skipped"], 1);
    assert_eq!(names(&case.path("t")), ["d", "link", "run"]);
    assert_eq!(
        (mode(case.path("t/run")), mode(case.path("t/d"))),
        (0o755, 0o500)
    );
    assert_eq!(
        fs::read(case.path("t/d/f")).expect("read"),
        vec![7; 600_000]
    );
    let time = |path: &str| {
        fs::metadata(case.path(path))
            .expect("there")
            .modified()
            .expect("a time")
    };
    assert_eq!(time("t/d/f"), time("s/d/f"));
    assert_eq!(
        fs::read_link(case.path("t/link")).expect("a link"),
        Path::new("run")
    );
    refused(
        &case,
        "copy",
        json!({"from": case.path("s"), "to": case.path("t")}),
        409,
        "already_exists",
    )
    .await;
    let followed = json!({"from": case.path("s/link"), "to": case.path("l"), "links": "follow"});
    done(&case, "copy", followed).await;
    assert_eq!(fs::read(case.path("l")).expect("read"), b"#!/bin/sh");
    let over =
        json!({"from": case.path("s"), "to": case.path("t"), "overwrite": true, "links": "follow"});
    done(&case, "copy", over).await;
    assert!(
        case.path("t/link")
            .symlink_metadata()
            .expect("there")
            .is_file()
    );
    symlink("..", case.path("s/ring")).expect("linked");
    let ring = json!({"from": case.path("s"), "to": case.path("u"), "links": "follow"});
    refused(&case, "copy", ring, 400, "link_loop").await;
    let inside = json!({"from": case.path("s"), "to": case.path("s/x")});
    refused(&case, "copy", inside, 400, "invalid_field").await;
    refused(
        &case,
        "copy",
        json!({"from": case.path("s/fifo"), "to": case.path("v")}),
        400,
        "not_regular_file",
    )
    .await;
    assert_eq!(case.names(), ["l", "s", "t"], "nothing staged stays");
}

#[tokio::test]
async fn permissions_change_with_those_below_and_not_through_links() {
    let case = Case::new();
    fs::create_dir_all(case.path("d/e")).expect("made");
    let outside = case.file("outside", "");
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o604)).expect("set");
    case.file("d/f", "");
    symlink("../outside", case.path("d/link")).expect("linked");
    let body =
        json!({"path": case.path("d"), "mode": "0640", "dir_mode": "0700", "recursive": true});
    assert_eq!(done(&case, "chmod", body.clone()).await["changed"], 3);
    assert_eq!(done(&case, "chmod", body).await["changed"], 0);
    assert_eq!(
        (mode(case.path("d/e")), mode(case.path("d/f"))),
        (0o700, 0o640)
    );
    assert_eq!(mode(&outside), 0o604);
    assert_eq!(
        done(
            &case,
            "chmod",
            json!({"path": case.path("d/link"), "mode": "600"})
        )
        .await["changed"],
        1
    );
    assert_eq!(mode(&outside), 0o600);
    let closed = json!({"path": case.path("d"), "mode": "0", "recursive": true});
    assert_eq!(done(&case, "chmod", closed).await["changed"], 3);
    refused(
        &case,
        "chmod",
        json!({"path": case.path("outside")}),
        400,
        "invalid_field",
    )
    .await;
    refused(
        &case,
        "chmod",
        json!({"path": case.path("none"), "mode": "600"}),
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn touching_sets_the_time_and_makes_an_empty_file() {
    let case = Case::new();
    let made = done(&case, "touch", json!({"path": case.path("new")})).await;
    assert_eq!(made["size"], 0);
    let time = "2001-02-03T04:05:06.000000007Z";
    let set = done(
        &case,
        "touch",
        json!({"path": case.path("new"), "mtime": time}),
    )
    .await;
    assert_eq!(set["mtime"], time);
    let absent = json!({"path": case.path("none"), "create": false});
    refused(&case, "touch", absent, 404, "not_found").await;
    refused(
        &case,
        "touch",
        json!({"path": case.path("no/new")}),
        404,
        "not_found",
    )
    .await;
    refused(
        &case,
        "touch",
        json!({"path": case.path("x"), "mtime": "now"}),
        400,
        "invalid_field",
    )
    .await;
}

#[tokio::test]
async fn who_has_no_right_is_told_403() {
    let Some(case) = Case::as_plain_user() else {
        return;
    };
    let closed = case.path("closed");
    fs::create_dir(&closed).expect("made");
    fs::write(closed.join("file"), "").expect("written");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("set");
    for route in ["stat", "resolve-path"] {
        let (status, body) = get(&case, route, closed.join("file"), "").await;
        assert_eq!(
            (status, body["code"].as_str()),
            (403, Some("permission_denied")),
            "{route}: {body}"
        );
    }
    assert_eq!(get(&case, "list", &closed, "").await.0, 403);
    let listed = get(&case, "list", case.work.path(), "&depth=3").await.1;
    assert_eq!(listed["errors"][0]["code"], "permission_denied", "{listed}");
    let request = case.request(Method::POST, "list-directory", &closed, "");
    assert_eq!(request.send().await.expect("an answer").status(), 403);
    for (route, body) in [
        ("mkdir", json!({"path": closed.join("x")})),
        ("touch", json!({"path": closed.join("x")})),
        ("chmod", json!({"path": &closed, "mode": "777"})),
        ("remove", json!({"path": closed.join("file")})),
        (
            "copy",
            json!({"from": closed.join("file"), "to": case.path("x")}),
        ),
        (
            "move",
            json!({"from": closed.join("file"), "to": case.path("x")}),
        ),
    ] {
        refused(&case, route, body, 403, "permission_denied").await;
    }
    let whole = json!({"path": case.work.path(), "recursive": true});
    let (status, body) = post(&case, "remove", whole).await;
    assert_eq!(status, 403, "{body}");
    assert!(closed.exists());
}

#[tokio::test]
async fn the_daemon_itself_is_not_shown() {
    let case = Case::new();
    let home = case.daemon.home();
    symlink(home.state(), case.path("state")).expect("linked");
    for path in [
        home.state().join("token"),
        home.runtime(),
        case.path("state/token"),
    ] {
        let (status, body) = get(&case, "stat", &path, "").await;
        assert_eq!(
            (status, body["code"].as_str()),
            (403, Some("reserved_path")),
            "{path:?}: {body}"
        );
    }
    let pid = case.daemon.pid();
    for (path, code) in [
        ("/proc/self/environ".to_owned(), "reserved_path"),
        (format!("/proc/{pid}/mem"), "reserved_path"),
        ("/proc/1/root/etc".to_owned(), "magic_link"),
    ] {
        let (status, body) = get(&case, "stat", &path, "").await;
        assert_eq!(
            (status, body["code"].as_str()),
            (403, Some(code)),
            "{path}: {body}"
        );
    }
}

#[tokio::test]
async fn what_a_killed_daemon_staged_goes_at_the_next_start() {
    let home = Home::new();
    let work = tempfile::tempdir().expect("a directory");
    let first = Daemon::start_command(&home, &mut deskd_serve(&home));
    drop(first);
    let staged = work.path().join(".deskd-staged");
    fs::create_dir_all(staged.join("d")).expect("made");
    let encode = |path: &Path| STANDARD.encode(path.as_os_str().as_bytes());
    let record = format!(
        "deskd move 1\n{}\n{}\n\n\n\nend\n",
        encode(&staged),
        encode(&work.path().join("to"))
    );
    fs::write(home.state().join("moves/one"), record).expect("written");
    let (from, leaving) = (work.path().join("from"), work.path().join(".deskd-leaving"));
    fs::write(&leaving, "whole").expect("written");
    let paths = [
        &work.path().join("none"),
        &work.path().join("to"),
        &from,
        &leaving,
    ];
    let lines: Vec<String> = paths.iter().map(|path| encode(path)).collect();
    let record = format!("deskd move 1\n{}\n1 1\nend\n", lines.join("\n"));
    fs::write(home.state().join("moves/two"), record).expect("written");
    let second = Daemon::start_command(&home, &mut deskd_serve(&home));
    assert_eq!(names(work.path()), ["from"]);
    assert_eq!(fs::read(&from).expect("read"), b"whole");
    drop(second);
}
