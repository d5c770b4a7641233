//! `deskd man`: manual pages from the same definitions as the command line, one for each command.

use std::{fmt::Write as _, io, path::Path};

use clap::Command;

/// What the definitions do not say; behind the page of the program itself.
const REST: &str = r#".SH "EXIT STATUS"
.TP
0
It is done.
.TP
1
It failed; standard error says why.
.TP
2
The command line or the configuration is wrong.
.PP
\fBdeskd exec\fR ends with the code of its command, 128 and the signal's number if a signal ended it.
.SH FILES
.TP
\fI~/.config/deskd/config.toml\fR
Settings of the daemon. \fBdeskd config\fR prints those in effect.
.TP
\fI~/.local/state/deskd/token\fR
The token of the daemon.
.TP
\fI$XDG_RUNTIME_DIR/deskd/deskd.sock\fR
The socket by which commands find it.
.SH "SEE ALSO"
"#;

/// deskd(1) as text of man(7).
pub(super) fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut pages = pages(command)?;
    Ok(pages.swap_remove(0).1)
}

/// Writes a page for each command to a folder, which is made when missing.
pub(super) fn write_all(command: Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, text) in pages(command)? {
        std::fs::write(folder.join(format!("{name}.1")), text)?;
    }
    Ok(())
}

/// Names and texts, the program's own first.
fn pages(command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    let mut rest = REST.to_owned();
    for (name, _) in pages.iter().skip(1) {
        let _ = writeln!(rest, ".BR {} (1)", name.replace('-', "\\-"));
    }
    pages[0].1.extend_from_slice(rest.as_bytes());
    Ok(pages)
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    pages.push((name.to_owned(), with_title(&text, name).into_bytes()));
    let commands = command.get_subcommands();
    for below in commands.filter(|command| !command.is_hide_set()) {
        collect(below, pages)?;
    }
    Ok(())
}

/// The generator leaves an empty date out, and takes the name of a command for that of the program.
fn with_title(text: &str, name: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let title = format!(r#".TH {name} 1 "" "deskd {version}" "deskd""#);
    let lines = text.lines().map(|line| {
        if line.starts_with(".TH ") {
            title.as_str()
        } else {
            line
        }
    });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_page() {
        let below = Command::new("below").about("Lies below");
        let command = Command::new("deskd")
            .subcommand(Command::new("one").subcommand(below))
            .subcommand(Command::new("hidden").hide(true))
            .arg(Arg::new("flag").long("flag").help("What it does"));
        let pages = pages(command).expect("memory does not fail");
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["deskd", "deskd-one", "deskd-one-below"]);
        let text = |at: usize| String::from_utf8(pages[at].1.clone()).expect("text");
        assert!(text(0).contains("What it does") && text(0).contains(".BR deskd\\-one (1)"));
        assert!(text(2).contains(".TH deskd-one-below 1 \"\" \"deskd "));
        assert!(text(2).contains("deskd\\-one\\-below \\- Lies below"));
    }
}
