//! The program at a terminal and in pipes: who reads, who types, who interrupts; manual pages and completions.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    command_line::{command, off, printed, shown},
    support::daemon::{Daemon, Home, deskd},
};

/// A script of the shell, in which `deskd` is the program under test with the daemon's directories.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn shell(daemon: &Daemon, script: &str) -> Command {
    let deskd = command(daemon, &[]);
    let mut shell = Command::new("bash");
    shell
        .args([
            "-c",
            &format!(
                "deskd() {{ {} \"$@\"; }}\n{script}",
                env!("CARGO_BIN_EXE_deskd")
            ),
        ])
        .env_clear()
        .envs(
            deskd
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("SHELL", "/bin/bash")
        .current_dir(daemon.home().path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

/// The same on a terminal of its own, with these keys typed; what the terminal showed.
fn at_terminal(daemon: &Daemon, script: &str, keys: &[u8]) -> String {
    let home = daemon.home().path();
    let program = env!("CARGO_BIN_EXE_deskd");
    let text = format!("deskd() {{ {program} \"$@\"; }}\n{script}\n");
    fs::write(home.join("script"), text).expect("written");
    let outer = "script --quiet --return --command 'bash script' /dev/null";
    let mut child = shell(daemon, outer)
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    let mut seen = String::new();
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    for line in &mut lines {
        let line = line.expect("text");
        // The terminal reads what is typed for it, and not before it is set up.
        if line.contains("type now") {
            stdin.write_all(keys).expect("taken");
        }
        seen += &line;
        seen.push('\n');
    }
    child.wait().expect("its end");
    seen
}

#[test]
fn a_reader_that_leaves_ends_a_command_quietly() {
    let daemon = off();
    let id = printed(
        &daemon,
        &["exec", "--detach", "sh", "-c", "echo first; sleep 1000"],
    );
    let id = id.trim();
    // Nothing more is printed: the end is noticed without a write.
    let script = format!("deskd logs -f {id} | head -n 1; echo ${{PIPESTATUS[0]}}");
    let output = shell(&daemon, &script).output().expect("it runs");
    assert_eq!(shown(&output), (0, "first\n0\n".into(), String::new()));
    printed(&daemon, &["kill", id]);
    let script = "deskd exec -- yes | head -n 1; echo ${PIPESTATUS[0]}";
    let output = shell(&daemon, script).output().expect("it runs");
    assert_eq!(shown(&output), (0, "y\n0\n".into(), String::new()));
    assert_eq!(printed(&daemon, &["ps"]), "", "yes is gone, too");
    let many = "for c in doctor config man 'completions bash' 'git --help'; do deskd $c | true; done; \
                deskd nonsense 2>&1 | true; deskd ps --socket /none 2>&1 | true";
    let (code, _, error) = shown(&shell(&daemon, many).output().expect("it runs"));
    assert_eq!((code, error.as_str()), (0, ""));
}

#[test]
fn the_third_interrupt_ends_what_ignores_the_first() {
    let daemon = off();
    let script = "trap 'echo caught' INT; echo ready; while :; do read x || sleep 0.01; done";
    let mut child = command(&daemon, &["exec", "--", "sh", "-c", script])
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().map(|line| line.expect("text"));
    assert_eq!(line().as_deref(), Some("ready"));
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    for _ in 0..2 {
        kill(pid, Signal::SIGINT).expect("it is there");
        assert_eq!(line().as_deref(), Some("caught"));
    }
    kill(pid, Signal::SIGINT).expect("it is there");
    assert_eq!(child.wait().expect("its end").code(), Some(137));
    assert_eq!(printed(&daemon, &["ps"]), "");
}

#[test]
fn a_terminal_goes_there_and_is_ours_again_afterwards() {
    let daemon = off();
    let script = r#"
        stty rows 33 cols 99
        stty -a >before
        deskd exec -t -- sh -c 'stty size; tty -s && echo terminal; echo type now; read x; echo "got $x"; exit 5'
        echo "code $?"
        stty -a >after
        cmp before after && echo restored
    "#;
    let seen = at_terminal(&daemon, script, b"a b\r");
    for part in ["33 99", "terminal", "got a b", "code 5", "restored"] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    // Ctrl-C is a key there: it ends what runs there.
    let script = r#"
        stty -a >before
        deskd exec -t -- sh -c 'echo type now; sleep 1000; echo never'
        echo "code $?"
        stty -a >after
        cmp before after && echo restored
    "#;
    let seen = at_terminal(&daemon, script, b"\x03");
    for part in ["code 130", "restored"] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert_eq!(printed(&daemon, &["ps"]), "");
    let (code, _, error) = crate::command_line::run(&daemon, &["exec", "-t", "true"]);
    assert_eq!(code, 2, "{error}");
}

#[test]
fn long_transfers_say_how_far_they_are() {
    let daemon = off();
    // `timeout` lets a second pass between two pieces.
    let slow =
        "{ head -c 3000000 /dev/zero; timeout 1.2 tail -f /dev/null; head -c 3000000 /dev/zero; }";
    let seen = at_terminal(&daemon, &format!("{slow} | deskd write big; echo"), b"");
    assert!(seen.contains("MiB/s"), "{seen}");
    let size = fs::metadata(daemon.home().path().join("big")).expect("written");
    assert_eq!(size.len(), 6_000_000);
    let seen = at_terminal(
        &daemon,
        "deskd read big >copy; deskd write small <big; echo done",
        b"",
    );
    assert_eq!(seen.trim(), "done", "what is quick says nothing");
    let (code, _, error) = shown(
        &shell(&daemon, &format!("{slow} | deskd write big"))
            .output()
            .expect("it runs"),
    );
    assert_eq!((code, error.as_str()), (0, ""), "nobody looks");
}

/// A program and what it says of its input.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn says(program: &str, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(program);
    shown(&command.args(args).output().expect("it runs"))
}

#[test]
fn every_command_has_a_manual_page_that_man_can_read() {
    let home = Home::new();
    let folder = home.path().join("man");
    let mut man = deskd(&home);
    let (code, _, error) = shown(&man.arg("man").arg(&folder).output().expect("it runs"));
    assert_eq!((code, error.as_str()), (0, ""));
    let (_, help, _) = shown(&deskd(&home).arg("--help").output().expect("it runs"));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.split_whitespace().next());
    let mut count = 0;
    for name in names.filter(|name| *name != "help") {
        assert!(folder.join(format!("deskd-{name}.1")).exists(), "{name}");
        count += 1;
    }
    assert!(count > 20, "{help}");
    for page in fs::read_dir(&folder).expect("a folder") {
        let page = page.expect("an entry").path();
        let page = page.to_str().expect("text");
        let lint = says("mandoc", &["-T", "lint", "-W", "error", page]);
        assert_eq!(lint, (0, String::new(), String::new()), "{page}");
        let (code, name, _) = says("lexgrog", &[page]);
        assert_eq!(code, 0, "{name}");
        let (_, text, _) = says("man", &["--warnings", "-l", page]);
        assert!(
            text.contains("SYNOPSIS") && text.contains("deskd"),
            "{page}"
        );
    }
}

#[test]
fn completions_complete() {
    let daemon = off();
    let script = "source <(deskd completions bash)\n\
                  COMP_WORDS=(deskd scre) COMP_CWORD=1; _deskd deskd scre deskd; echo \"${COMPREPLY[@]}\"\n\
                  COMP_WORDS=(deskd git wa) COMP_CWORD=2; _deskd deskd wa git; echo \"${COMPREPLY[@]}\"";
    let output = shell(&daemon, script).output().expect("it runs");
    assert_eq!(
        shown(&output),
        (0, "screenshot\nwatch\n".into(), String::new())
    );
    for shell_name in ["zsh", "fish", "elvish", "powershell"] {
        let script = printed(&daemon, &["completions", shell_name]);
        assert!(script.contains("screenshot"), "{shell_name}");
    }
}
