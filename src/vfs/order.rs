//! What somebody wants mounted: checked, not yet made.

use std::path::PathBuf;

use super::path::TreePath;

/// Usual quota of a memory mount, in bytes.
const QUOTA: u64 = 64 << 20;
/// Usual number of entries of a memory mount.
const ENTRIES: u64 = 100_000;

/// A mount that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOrder {
    /// Where.
    pub at: TreePath,
    /// What.
    pub source: Source,
    /// Nothing is written.
    pub read_only: bool,
}

/// What a mount serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A directory of the machine.
    Host {
        /// Its path there.
        directory: PathBuf,
        /// Other file systems below it are left out.
        one_file_system: bool,
    },
    /// Scratch space.
    Memory {
        /// Bytes of content and names.
        quota_bytes: u64,
        /// Entries.
        max_entries: u64,
    },
    /// The tree of a commit.
    Git {
        /// Path of the repository in the tree.
        repository: Vec<u8>,
        /// Any spelling that git understands.
        revision: String,
        /// The part of the commit's tree that is served.
        subdirectory: Option<String>,
    },
}

/// A wrong option: which, and what is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Options by their names, taken one by one.
#[derive(Debug)]
struct Taken {
    left: Vec<(String, String)>,
    bad: Vec<BadOption>,
}

impl Taken {
    fn text(&mut self, name: &str) -> Option<String> {
        let mut found = None;
        let mut repeated = false;
        self.left.retain_mut(|(key, value)| {
            if key == name {
                repeated |= found.replace(std::mem::take(value)).is_some();
                return false;
            }
            true
        });
        if repeated {
            self.refuse(name, "is given more than once");
        }
        found
    }

    fn number(&mut self, name: &str, usual: u64) -> u64 {
        match self.text(name).map(|text| text.parse()) {
            None => usual,
            Some(Ok(number)) if number > 0 => number,
            Some(_) => {
                self.refuse(name, "a number from 1 on is due");
                usual
            }
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.text(name).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => {
                self.refuse(name, "true or false is due");
                false
            }
        }
    }

    fn absolute(&mut self, name: &str) -> String {
        let text = self.text(name).unwrap_or_default();
        if !text.starts_with('/') {
            self.refuse(name, "an absolute path is due");
        }
        text
    }

    fn refuse(&mut self, name: &str, detail: &str) {
        self.bad.push(BadOption {
            name: name.to_owned(),
            detail: detail.to_owned(),
        });
    }
}

impl MountOrder {
    /// Checks the options of a provider. All that is wrong is told at once.
    pub fn new(
        at: &[u8],
        provider: &str,
        read_only: bool,
        options: Vec<(String, String)>,
    ) -> Result<Self, Vec<BadOption>> {
        let mut taken = Taken {
            left: options,
            bad: Vec::new(),
        };
        let at = TreePath::parse(at).unwrap_or_else(|error| {
            taken.refuse("at", &error.to_string());
            TreePath::root()
        });
        let source = match provider {
            "host" => Some(Source::Host {
                directory: PathBuf::from(taken.absolute("directory")),
                one_file_system: taken.flag("one_file_system"),
            }),
            "memory" => Some(Source::Memory {
                quota_bytes: taken.number("quota_bytes", QUOTA),
                max_entries: taken.number("max_entries", ENTRIES),
            }),
            "git" => Some(Source::Git {
                repository: taken.absolute("repository").into_bytes(),
                revision: taken.text("revision").unwrap_or_else(|| "HEAD".to_owned()),
                subdirectory: taken.text("subdirectory"),
            }),
            _ => {
                taken.refuse("provider", "one of host, memory, git is due");
                taken.left.clear();
                None
            }
        };
        for (name, _) in std::mem::take(&mut taken.left) {
            taken.refuse(&name, &format!("is no option of the provider {provider}"));
        }
        match source {
            Some(source) if taken.bad.is_empty() => Ok(Self {
                at,
                source,
                read_only,
            }),
            _ => Err(taken.bad),
        }
    }

    /// Reads `AT=PROVIDER:SOURCE[,ro][,key=value…]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "expected AT=PROVIDER:SOURCE[,ro][,key=value…], as in /data=host:/srv/data,ro";
        let (at, rest) = text.split_once('=').ok_or(form)?;
        let mut parts = rest.split(',');
        let what = parts.next().unwrap_or_default();
        let (provider, source) = what.split_once(':').unwrap_or((what, ""));
        let mut options = Vec::new();
        let mut read_only = false;
        for part in parts {
            match part.split_once('=') {
                Some((key, value)) => options.push((key.to_owned(), value.to_owned())),
                None if part == "ro" => read_only = true,
                None if part == "rw" => {}
                None => return Err(format!("{part:?} is neither ro nor key=value; {form}")),
            }
        }
        let named = match provider {
            "host" => Some("directory"),
            "git" => Some("repository"),
            _ => None,
        };
        match named {
            Some(name) => options.push((name.to_owned(), source.to_owned())),
            None if !source.is_empty() => {
                return Err(format!("the provider {provider} takes no source"));
            }
            None => {}
        }
        Self::new(at.as_bytes(), provider, read_only, options).map_err(|bad| {
            let told = bad
                .iter()
                .map(|bad| format!("{}: {}", bad.name, bad.detail));
            told.collect::<Vec<_>>().join("; ")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_from_one_line() {
        let order = MountOrder::parse("/a//b/=host:/srv/x,ro,one_file_system=true").expect("good");
        assert_eq!(order.at.to_bytes(), b"/a/b");
        assert!(order.read_only);
        let directory = PathBuf::from("/srv/x");
        let one_file_system = true;
        assert_eq!(
            order.source,
            Source::Host {
                directory,
                one_file_system
            }
        );
        let order = MountOrder::parse("/m=memory,quota_bytes=10").expect("good");
        let (quota_bytes, max_entries) = (10, ENTRIES);
        assert_eq!(
            order.source,
            Source::Memory {
                quota_bytes,
                max_entries
            }
        );
        assert!(MountOrder::parse("/g=git:/repo,revision=v1").is_ok());
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let options = [
            ("quota_bytes", "0"),
            ("max_entries", "x"),
            ("directory", "/x"),
        ];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let bad = MountOrder::new(b"a", "memory", false, options.into()).expect_err("refused");
        let names: Vec<_> = bad.iter().map(|bad| bad.name.as_str()).collect();
        assert_eq!(names, ["at", "quota_bytes", "max_entries", "directory"]);
        for bad in [
            "",
            "/a",
            "/a=",
            "/a=none:x",
            "/a=host:x",
            "/a=host:/x,what",
            "a=memory",
            "/a/../b=memory",
            "/m=memory:x",
        ] {
            assert!(MountOrder::parse(bad).is_err(), "{bad}");
        }
    }
}
