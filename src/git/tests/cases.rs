//! Each kind of change, beside what git prints for it.

use super::{Repo, Status, agrees, files, snapshot, text};

const LINES: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";

fn numbered(text: &str, count: usize) -> String {
    let lines: Vec<String> = (0..count).map(|line| format!("{text} {line}\n")).collect();
    lines.concat()
}

#[test]
fn a_clean_repository_says_nothing() {
    let repo = Repo::with(&[("a", "a\n"), ("d/b", "b\n")]);
    let snapshot = agrees(&repo);
    assert!(snapshot.diff.is_empty() && snapshot.files.is_empty() && !snapshot.truncated);
    assert_eq!(snapshot.standing.branch, "main");
    assert_eq!(
        snapshot.standing.head.expect("a commit").as_bytes(),
        repo.git(&["rev-parse", "HEAD"]).trim_ascii()
    );
}

#[test]
fn staged_changed_and_untracked_files_stand_together() {
    let repo = Repo::with(&[("a", LINES), ("b", LINES), ("gone", LINES), ("both", LINES)]);
    repo.write("a", LINES.replace("five", "FIVE"));
    repo.write("b", format!("{LINES}eleven\n"));
    repo.git(&["add", "b"]);
    repo.write("both", LINES.replace("two", "2"));
    repo.git(&["add", "both"]);
    repo.write("both", LINES.replace("two", "2").replace("nine", "9"));
    repo.remove("gone");
    repo.write("new", "new\n");
    repo.git(&["add", "new"]);
    repo.write("dir/untracked", "no newline");
    let snapshot = agrees(&repo);
    let due = [
        ("a", Status::Modified, false, true),
        ("b", Status::Modified, true, false),
        ("both", Status::Modified, true, true),
        ("dir/untracked", Status::Untracked, false, true),
        ("gone", Status::Deleted, false, true),
        ("new", Status::Added, true, false),
    ];
    let due =
        due.map(|(path, status, staged, unstaged)| (path.to_owned(), status, staged, unstaged));
    assert_eq!(files(&snapshot), due);
    assert_eq!(snapshot.files[2].lines, Some((2, 2)));
}

#[test]
fn names_are_quoted_as_git_quotes_them() {
    let repo = Repo::with(&[]);
    let names: [&[u8]; 8] = [
        b"with blank",
        b"quo\"te",
        b"new\nline",
        b"tab\t",
        b"\xff\xfe",
        "h\u{e9}".as_bytes(),
        b"back\\slash",
        b"a b\"c",
    ];
    for name in names {
        repo.write(name, "x\n");
    }
    agrees(&repo);
    repo.git(&["add", "-A"]);
    agrees(&repo);
    repo.commit();
    for name in names {
        repo.write(name, "y\n");
    }
    agrees(&repo);
}

#[test]
fn before_the_first_commit_all_is_new() {
    let repo = Repo::new();
    let snapshot = agrees(&repo);
    assert_eq!(
        (snapshot.standing.branch.as_str(), snapshot.standing.head),
        ("main", None)
    );
    repo.write("staged", "a\n");
    repo.git(&["add", "staged"]);
    repo.write("other", "b\n");
    agrees(&repo);
}

#[test]
fn a_detached_head_has_no_branch() {
    let repo = Repo::with(&[("a", "a\n")]);
    repo.git(&["checkout", "-q", "--detach"]);
    repo.write("a", "b\n");
    let snapshot = agrees(&repo);
    assert!(snapshot.standing.branch.is_empty() && snapshot.standing.head.is_some());
}

#[test]
fn binary_files_are_named_and_not_shown() {
    let repo = Repo::with(&[
        ("a", "a\0b"),
        ("t", "text\n"),
        (".gitattributes", "*.bin binary\n*.txt diff\n"),
    ]);
    repo.write("a", "a\0c");
    repo.write("new", "x\0y");
    repo.write("t", "te\0xt\n");
    repo.write("x.bin", "text\n");
    repo.write("y.txt", "te\0xt\n");
    let snapshot = agrees(&repo);
    assert!(
        snapshot
            .files
            .iter()
            .any(|file| file.binary && file.lines.is_none())
    );
}

#[test]
fn links_are_shown_and_not_followed() {
    let repo = Repo::with(&[("a", "a\n"), ("b", "b\n"), ("d/c", "c\n")]);
    repo.link("l", "a");
    repo.commit();
    repo.remove("l");
    repo.link("l", "b");
    repo.remove("a");
    repo.link("a", "/etc/passwd");
    repo.link("new", "nowhere");
    // A directory that became a link: what was below it is gone.
    repo.remove("d");
    repo.link("d", "/nowhere");
    let snapshot = agrees(&repo);
    assert!(!text(&snapshot.diff).contains("root:"));
    assert!(files(&snapshot).contains(&("a".to_owned(), Status::TypeChanged, false, true)));
}

#[test]
fn modes_count_when_they_are_trusted() {
    let repo = Repo::with(&[("a", "a\n"), ("b", "b\n")]);
    repo.mode("a", 0o755);
    repo.write("b", "bb\n");
    repo.mode("b", 0o755);
    repo.write("n", "n\n");
    repo.mode("n", 0o755);
    agrees(&repo);
    repo.mode("n", 0o644);
    repo.git(&["config", "core.fileMode", "false"]);
    agrees(&repo);
}

#[test]
fn a_conflict_is_the_work_tree_against_head() {
    let repo = Repo::with(&[("a", LINES), ("k", "k\n")]);
    repo.git(&["checkout", "-q", "-b", "other"]);
    repo.write("a", LINES.replace("five", "theirs"));
    repo.remove("k");
    repo.commit();
    repo.git(&["checkout", "-q", "main"]);
    repo.write("a", LINES.replace("five", "ours"));
    repo.write("k", "changed\n");
    repo.commit();
    repo.try_git(&["merge", "-q", "other"]);
    let snapshot = snapshot(&repo);
    let conflicted: Vec<_> = snapshot
        .files
        .iter()
        .filter(|file| file.status == Status::Conflicted)
        .collect();
    assert_eq!(conflicted.len(), 2);
    assert!(text(&snapshot.diff).contains("+<<<<<<< HEAD"));
    assert_eq!(
        snapshot.standing.operation,
        Some(crate::git::Operation::Merge)
    );
    let of_git: Vec<u8> = repo.diff();
    let of_git = text(&of_git);
    let of_git = of_git
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("* Unmerged"))
        .collect::<String>();
    assert_eq!(text(&snapshot.diff), of_git);
}

#[test]
fn what_is_in_the_index_alone_counts() {
    let repo = Repo::with(&[("a", "a\n"), ("b", "b\n"), ("s", "s\n"), ("u", "u\n")]);
    repo.write("intent", "intent\n");
    repo.git(&["add", "-N", "intent"]);
    repo.git(&["rm", "-q", "--cached", "a"]);
    repo.git(&["update-index", "--skip-worktree", "s"]);
    repo.git(&["update-index", "--assume-unchanged", "u"]);
    repo.write("s", "changed\n");
    repo.remove("u");
    let snapshot = agrees(&repo);
    let due = [
        ("a".to_owned(), Status::Deleted, true, false),
        ("a".to_owned(), Status::Untracked, false, true),
        ("intent".to_owned(), Status::Added, false, true),
    ];
    assert_eq!(files(&snapshot), due);
    repo.remove("intent");
    agrees(&repo);
}

#[test]
fn ends_of_lines_follow_attributes_and_settings() {
    let repo = Repo::with(&[
        ("t.txt", "a\nb\n"),
        ("k.txt", "a\nb\n"),
        ("c.txt", "a\r\nb\r\n"),
        ("id", "$Id$\nx\n"),
    ]);
    repo.write("t.txt", "a\r\nb\r\n");
    repo.write("c.txt", "a\r\nb\r\nc\r\n");
    agrees(&repo);
    repo.write(".gitattributes", "*.txt text=auto\nid ident\n");
    repo.write("id", "$Id: 0123 $\nx\ny $Id: a\nb$\n");
    agrees(&repo);
    repo.write(".gitattributes", "*.txt text eol=crlf\n");
    agrees(&repo);
    repo.remove(".gitattributes");
    repo.git(&["config", "core.autocrlf", "true"]);
    repo.write("k.txt", "a\r\nb\r\nnew\r\n");
    agrees(&repo);
}

#[test]
fn the_last_line_may_have_no_end() {
    let repo = Repo::with(&[
        ("a", "a\nb"),
        ("b", "a\nb\n"),
        ("c", "x"),
        ("d", "x\n"),
        ("e", ""),
    ]);
    repo.write("a", "a\nc");
    repo.write("b", "a\nb");
    repo.write("c", "x\n");
    repo.write("d", "");
    repo.write("e", "x");
    repo.write("f", "");
    agrees(&repo);
}

#[test]
fn encodings_are_bytes() {
    let repo = Repo::with(&[("a", "a\n")]);
    repo.write("a", b"\xe4\xf6\xfc \x80 caf\xe9\n");
    repo.write("b", b"int f\xe9(void)\n{\n\xff\n}\n");
    agrees(&repo);
}

#[test]
fn headings_stand_behind_hunks() {
    let body = numbered("    line", 60);
    let long = "x".repeat(100);
    let code = format!("int main(void)\n{{\n{body}}}\n\n{long}   \n{body}$dollar  \n{body}");
    let repo = Repo::with(&[("a.c", &code)]);
    repo.write(
        "a.c",
        code.replacen("line 30\n", "line thirty\n", 3)
            .replace("line 55", "line 5 5"),
    );
    agrees(&repo);
}

#[test]
fn renames_are_found_as_git_finds_them() {
    let many = numbered("this is line", 50);
    let repo = Repo::with(&[
        ("a", &many),
        ("d/b", &many.replace("this", "that")),
        ("c", LINES),
        ("equal", "the same\n"),
    ]);
    repo.git(&["mv", "a", "moved"]);
    repo.write("moved", many.replace("line 7\n", "line seven\n"));
    repo.git(&["mv", "d/b", "b"]);
    repo.git(&["mv", "equal", "other name"]);
    repo.git(&["rm", "-q", "c"]);
    repo.write("unlike", "nothing\nlike\nit\n");
    repo.git(&["add", "-A"]);
    let snapshot = agrees(&repo);
    let renamed: Vec<_> = snapshot
        .files
        .iter()
        .filter(|file| file.status == Status::Renamed)
        .collect();
    assert_eq!(renamed.len(), 3);
    assert_eq!(renamed[1].old_path.as_deref(), Some(&b"a"[..]));
}

#[test]
fn ignored_files_are_left_out() {
    let repo = Repo::with(&[
        (".gitignore", "*.o\n/build/\n!keep.o\nlogs/**\n"),
        ("tracked.o", "x\n"),
    ]);
    repo.git(&["add", "-f", "tracked.o"]);
    repo.git(&["commit", "-qm", "x"]);
    for path in [
        "a.o",
        "keep.o",
        "build/x",
        "sub/build/x",
        "logs/a/b",
        "sub/.gitignore",
        "sub/x.tmp",
        "sub/keep.o",
    ] {
        repo.write(
            path,
            if path.ends_with("ignore") {
                "*.tmp\nkeep.o\n"
            } else {
                "x\n"
            },
        );
    }
    repo.write("tracked.o", "y\n");
    repo.write(".git/info/exclude", "excluded\n");
    repo.write("sub/excluded", "x\n");
    agrees(&repo);
}
