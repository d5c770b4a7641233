//! What a command is, from its words: in the background or not, better done by another tool, graphical. Pure.

use std::time::Duration;

use super::answer::Trouble;

/// Longest time that a call may wait.
pub(super) const LONGEST: Duration = Duration::from_hours(4);

/// What is advised when a command only prints a file.
const READ: &str =
    "read_file does this better: it numbers the lines, goes on page by page, and needs no process.";
/// What is advised when a command only searches or lists.
const SEARCH: &str = "search_files and find_files do this better: they need no process, and their answers are bounded.";
/// What is told when a command looks like a graphical program.
const GRAPHICAL: &str = "This looks like a graphical program: it shows on the desktop. Call screenshot to see it; launch starts \
                         such programs and waits for their window.";
/// What is told when a program found no desktop.
const NO_DISPLAY: &str =
    "The program wanted a desktop, and none runs: call launch, which starts one.";

/// Programs that open a window, by the last part of their names.
const WINDOWED: &[&str] = &[
    "xterm",
    "uxterm",
    "firefox",
    "firefox-esr",
    "chromium",
    "google-chrome",
    "google-chrome-stable",
    "xdg-open",
    "gedit",
    "mousepad",
    "kate",
    "gimp",
    "inkscape",
    "libreoffice",
    "soffice",
    "code",
    "nautilus",
    "thunar",
    "pcmanfm",
    "evince",
    "okular",
    "eog",
    "feh",
    "vlc",
    "mpv",
    "xeyes",
    "xclock",
    "xcalc",
    "gnome-terminal",
    "konsole",
    "xfce4-terminal",
    "galculator",
    "gnome-calculator",
    "zenity",
    "yad",
];

/// A time as in `500ms`, `10s`, `2m`, `1h`, `1m30s`; a number alone is seconds.
pub(super) fn duration(name: &str, text: &str) -> Result<Duration, Trouble> {
    let due = || Trouble::argument(name, "a time such as 10s, 2m or 1h is due");
    let text = text.trim();
    let parsed = if let Ok(seconds) = text.parse::<f64>() {
        Duration::try_from_secs_f64(seconds).map_err(|_| due())?
    } else {
        parts(text).ok_or_else(due)?
    };
    if parsed > LONGEST {
        return Err(Trouble::argument(
            name,
            "at most 4h; work that takes longer runs in the background",
        ));
    }
    Ok(parsed)
}

fn parts(mut rest: &str) -> Option<Duration> {
    if rest.is_empty() {
        return None;
    }
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        sum = sum.checked_add(Duration::try_from_secs_f64(number * unit).ok()?)?;
        rest = &rest[end..];
    }
    Some(sum)
}

/// A command that ends in one `&`, without it. `&&`, `|&` and an escaped one are not such an end.
pub(super) fn in_background(command: &str) -> Option<&str> {
    let before = command.trim_end().strip_suffix('&')?;
    let odd = before.ends_with(['&', '|', '\\', '>', '<']);
    (!odd && !before.trim().is_empty()).then(|| before.trim_end())
}

/// What is advised about a command before anybody sees what came of it.
pub(super) fn advice(command: &str) -> Option<&'static str> {
    let words = words(command)?;
    let (program, arguments) = words.split_first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    if WINDOWED.contains(&name) {
        return Some(GRAPHICAL);
    }
    let operands = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .count();
    let prints = match name {
        "cat" | "nl" | "bat" | "batcat" | "less" | "more" => operands > 0,
        "head" | "tail" => operands > 0 && !arguments.iter().any(|word| follows(word)),
        "sed" => arguments.iter().any(|word| only_prints(word)) && operands > 1,
        _ => false,
    };
    if prints {
        return Some(READ);
    }
    let searches = match name {
        "rg" | "ripgrep" | "ag" => operands > 0 || arguments.contains(&"--files"),
        "grep" | "egrep" | "fgrep" => operands > 1 || arguments.iter().any(|word| recurses(word)),
        _ => false,
    };
    searches.then_some(SEARCH)
}

/// What is advised when a command failed with this output.
pub(super) fn advice_after(output: &str) -> Option<&'static str> {
    let signs = [
        "an't open display",
        "annot open display",
        "Missing X server or $DISPLAY",
        "could not connect to display",
    ];
    signs
        .iter()
        .any(|sign| output.contains(sign))
        .then_some(NO_DISPLAY)
}

/// What is told of a program that has windows.
pub(super) fn shows(titles: &[&str]) -> String {
    let titles: Vec<String> = titles
        .iter()
        .take(3)
        .map(|title| format!("“{title}”"))
        .collect();
    let titles = titles.join(", ");
    format!("It shows on the desktop: {titles}. Call screenshot to see it, computer to use it.")
}

/// `sed -n`: it is only told from other uses by the flag.
fn only_prints(word: &str) -> bool {
    word == "-n"
        || word == "--quiet"
        || (word.starts_with('-')
            && !word.starts_with("--")
            && word.contains('n')
            && !word.contains('i'))
}

fn follows(word: &str) -> bool {
    matches!(word, "-f" | "-F" | "--follow")
}

fn recurses(word: &str) -> bool {
    let short = word.starts_with('-') && !word.starts_with("--");
    word == "--recursive" || (short && word.contains(['r', 'R']))
}

/// The words of one plain command; none of anything that is more: pipes, lists, redirections, substitutions.
fn words(command: &str) -> Option<Vec<&str>> {
    let command = command.trim();
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (Some('\''), _) => {}
            (_, '$' | '`') | (None, '|' | ';' | '&' | '<' | '>' | '(' | ')' | '\n') => return None,
            _ => {}
        }
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let read = |text| duration("timeout", text).map(|time| time.as_millis());
        for (text, due) in [
            ("10s", 10_000),
            ("2m", 120_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("0s", 0),
            ("4h", 14_400_000),
            ("7", 7000),
            ("1.5s", 1500),
        ] {
            assert_eq!(read(text), Ok(due), "{text}");
        }
        for text in ["", "s", "10 x", "-1s", "10d", "4h1s", "nan", "1e400"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_ampersand_at_the_end_is_the_background() {
        for (command, due) in [
            ("sleep 1 &", Some("sleep 1")),
            ("sleep 1&  ", Some("sleep 1")),
            ("server 2>&1 &", Some("server 2>&1")),
            ("a && b &", Some("a && b")),
            ("a &&", None),
            ("a |&", None),
            ("a", None),
            ("echo \\&", None),
            ("&", None),
            ("a 2>&", None),
        ] {
            assert_eq!(in_background(command), due, "{command}");
        }
    }

    #[test]
    fn a_command_that_only_prints_or_searches_is_advised_against() {
        for command in [
            "cat a.txt",
            "sed -n '1,5p' a",
            "head -n 5 a",
            "/bin/cat 'a b'",
            "tail -5 /var/log/x",
        ] {
            assert_eq!(advice(command), Some(READ), "{command}");
        }
        for command in ["rg foo", "grep -rn foo .", "grep foo a.txt", "rg --files"] {
            assert_eq!(advice(command), Some(SEARCH), "{command}");
        }
        for command in [
            "cat a | wc -l",
            "cat > a",
            "cat <<E\nx\nE",
            "sed -i s/a/b/ f",
            "make",
            "tail -f log",
            "cat",
            "head",
            "cat $(ls)",
            "echo 'cat a'",
            "grep foo",
            "a; cat b",
        ] {
            assert_eq!(advice(command), None, "{command}");
        }
        assert_eq!(advice("xterm -e top"), Some(GRAPHICAL));
        assert_eq!(
            advice_after("xterm: Xt error: Can't open display: "),
            Some(NO_DISPLAY)
        );
    }
}
