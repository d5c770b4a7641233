//! Desktop files: which program an entry of a menu stands for (freedesktop.org, "Desktop Entry Specification" 1.5).

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// Where data folders are, when the environment names none (freedesktop.org, "XDG Base Directory Specification").
const DATA_DIRS: &str = "/usr/local/share:/usr/share";
/// Largest file that is read.
const LARGEST: u64 = 1 << 20;

/// What an entry starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Program and arguments, never empty.
    pub argv: Vec<String>,
    /// Its working directory.
    pub directory: Option<String>,
    /// Whether it wants to be run in a terminal.
    pub in_terminal: bool,
}

/// Why an entry starts nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// No such file, or no entry of this name in the data folders.
    #[error("there is no desktop file {name}")]
    NotFound {
        /// As it was asked for.
        name: String,
    },
    /// It is there, but says nothing that can be started.
    #[error("the desktop file {name} starts nothing")]
    Invalid {
        /// As it was asked for.
        name: String,
        /// What is wrong.
        detail: &'static str,
    },
}

impl Application {
    /// Reads an entry: by absolute path, or by its id with or without `.desktop`, which is looked up in the data folders of this
    /// environment. Blocks for files.
    pub fn find(
        name: &str,
        environment: &[(OsString, OsString)],
    ) -> Result<Self, ApplicationError> {
        let not_found = || ApplicationError::NotFound {
            name: name.to_owned(),
        };
        let path = if name.starts_with('/') {
            Some(PathBuf::from(name)).filter(|path| path.is_file())
        } else {
            look_up(name, environment)
        };
        let path = path.ok_or_else(not_found)?;
        let length = std::fs::metadata(&path).map_or(0, |found| found.len());
        let text = if length <= LARGEST {
            std::fs::read_to_string(&path).map_err(|_| not_found())?
        } else {
            String::new()
        };
        Self::parse(&text, &path).map_err(|detail| ApplicationError::Invalid {
            name: name.to_owned(),
            detail,
        })
    }

    fn parse(text: &str, path: &Path) -> Result<Self, &'static str> {
        let entry = keys(text);
        let is = |key: &str| entry.get(key).is_some_and(|value| *value == "true");
        if entry.get("Type").is_none_or(|kind| *kind != "Application") {
            return Err("its type is not Application");
        }
        if is("Hidden") {
            return Err("it says that it was deleted");
        }
        let exec = entry.get("Exec").ok_or("it has no Exec")?;
        let words = words(&unescaped(exec)).ok_or("the quotes of its Exec do not close")?;
        let text_of = |key: &str| entry.get(key).map(|value| unescaped(value));
        let mut argv = Vec::new();
        for word in words {
            match word.as_str() {
                "%i" => argv.extend(
                    text_of("Icon")
                        .into_iter()
                        .flat_map(|icon| ["--icon".to_owned(), icon]),
                ),
                "%f" | "%F" | "%u" | "%U" => {}
                _ => argv.push(filled(&word, &text_of("Name").unwrap_or_default(), path)),
            }
        }
        if argv.first().is_none_or(String::is_empty) {
            return Err("its Exec is empty");
        }
        Ok(Self {
            argv,
            directory: text_of("Path").filter(|path| !path.is_empty()),
            in_terminal: is("Terminal"),
        })
    }
}

/// The file of an id: dashes may stand for folders.
fn look_up(name: &str, environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let id = name.strip_suffix(".desktop").unwrap_or(name);
    if id.is_empty() || id.split('/').any(|part| part == ".." || part.is_empty()) {
        return None;
    }
    let value = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted);
        found
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    };
    let own = value("XDG_DATA_HOME").map(PathBuf::from);
    let own = own.or_else(|| Some(Path::new(&value("HOME")?).join(".local/share")));
    let shared = value("XDG_DATA_DIRS").unwrap_or_else(|| DATA_DIRS.into());
    let folders = own
        .into_iter()
        .chain(std::env::split_paths(OsStr::new(&shared)));
    let in_folders = std::iter::successors(Some(id.to_owned()), |id| {
        id.contains('-').then(|| id.replacen('-', "/", 1))
    });
    let names: Vec<String> = in_folders
        .map(|id| format!("applications/{id}.desktop"))
        .collect();
    folders
        .filter(|folder| folder.is_absolute())
        .flat_map(|folder| {
            names
                .iter()
                .map(move |name| folder.join(name))
                .collect::<Vec<_>>()
        })
        .find(|path| path.is_file())
}

/// Keys of the group `Desktop Entry`, without those of a language.
fn keys(text: &str) -> HashMap<&str, &str> {
    let lines = text.lines().map(str::trim);
    let group = lines.skip_while(|line| *line != "[Desktop Entry]").skip(1);
    group
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect()
}

/// Escapes of every string of these files.
fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('s') => text.push(' '),
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('\\') | None => text.push('\\'),
            // Those of `Exec` come after these.
            Some(other) => text.extend(['\\', other]),
        }
    }
    text
}

/// Arguments of `Exec`: by blanks, with double quotes, in which a backslash stands before `"`, `` ` ``, `$` and itself.
fn words(exec: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = exec.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => all.extend(word.take()),
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => word.push(letters.next()?),
                        other => word.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    all.extend(word);
    Some(all)
}

/// With what stands for its codes; those of files, which there are none of, and the ones that are no longer used, are
/// nothing.
fn filled(word: &str, name: &str, path: &Path) -> String {
    let mut text = String::new();
    let mut letters = word.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('c') => text.push_str(name),
            Some('k') => text.push_str(&path.to_string_lossy()),
            Some('%') | None => text.push('%'),
            Some(_) => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(lines: &str) -> Result<Application, &'static str> {
        let text =
            format!("# a comment\n[Desktop Entry]\nType=Application\n{lines}\n[Other]\nExec=no\n");
        Application::parse(&text, Path::new("/x.desktop"))
    }

    #[test]
    fn commands_are_read_as_the_specification_says() {
        let argv = |exec: &str| {
            parsed(&format!("Name=A B\nIcon=pic\nExec={exec}"))
                .expect("valid")
                .argv
        };
        assert_eq!(argv("xterm -T title %U"), ["xterm", "-T", "title"]);
        assert_eq!(
            argv("a --name=%c %k 100%%"),
            ["a", "--name=A B", "/x.desktop", "100%"]
        );
        assert_eq!(argv("a %i --end"), ["a", "--icon", "pic", "--end"]);
        assert_eq!(
            argv(r#"sh -c "echo \\"$HOME\\" \\\\\\$x" """#),
            ["sh", "-c", r#"echo "$HOME" \$x"#, ""]
        );
        assert_eq!(
            argv(r"a\sb"),
            ["a", "b"],
            "an escaped blank is a blank before the quotes are looked at"
        );
    }

    #[test]
    fn what_starts_nothing_is_said() {
        assert!(parsed("Name=x").is_err());
        assert!(parsed("Exec=\"a").is_err());
        assert!(parsed("Exec=%f").is_err());
        assert!(parsed("Exec=a\nHidden=true").is_err());
        assert!(
            Application::parse("[Desktop Entry]\nType=Link\nExec=a\n", Path::new("/x")).is_err()
        );
        assert!(Application::parse("", Path::new("/x")).is_err());
        let terminal = parsed("Exec=top\nTerminal=true\nPath=/tmp").expect("valid");
        assert_eq!(
            (terminal.in_terminal, terminal.directory.as_deref()),
            (true, Some("/tmp"))
        );
    }

    #[test]
    fn an_id_is_looked_up_in_the_data_folders_and_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("share");
        std::fs::create_dir_all(data.join("applications/sub")).expect("folders");
        let entry = "[Desktop Entry]\nType=Application\nExec=a\n";
        std::fs::write(data.join("applications/one.desktop"), entry).expect("written");
        std::fs::write(data.join("applications/sub/two.desktop"), entry).expect("written");
        std::fs::write(folder.path().join("out.desktop"), entry).expect("written");
        let environment = [("XDG_DATA_DIRS".into(), data.clone().into_os_string())];
        for name in ["one", "one.desktop", "sub-two", "sub/two"] {
            assert!(Application::find(name, &environment).is_ok(), "{name}");
        }
        for name in ["three", "", "../../out", "x/../../../out", "//"] {
            assert!(Application::find(name, &environment).is_err(), "{name}");
        }
        let path = data.join("applications/one.desktop");
        assert!(Application::find(path.to_str().expect("UTF-8"), &[]).is_ok());
    }
}
