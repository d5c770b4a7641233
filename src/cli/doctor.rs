//! `deskd doctor`: what this machine lacks, and the command that cures each.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{config::Environment, sys::private};

/// Shared memory that pictures and browsers on the desktop want, in MiB; containers often get 64.
const SHM_MIB: u64 = 256;

/// inotify watches that a large source tree takes.
const WATCHES: u64 = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Works, with something missing.
    Lacking,
    /// The desktop cannot start.
    Broken,
}

#[derive(Debug)]
struct Finding {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    cure: Option<String>,
}

/// Prints the findings; fails when the desktop cannot start.
pub(super) fn run(json: bool, environment: &Environment) -> ExitCode {
    let findings = examine(environment);
    let mut text = String::new();
    if json {
        let _ = writeln!(text, "{}", as_json(&findings));
    } else {
        for finding in &findings {
            let word = match finding.verdict {
                Verdict::Good => "ok",
                Verdict::Lacking => "lacking",
                Verdict::Broken => "BROKEN",
            };
            let _ = writeln!(text, "{word:<8} {:<16} {}", finding.name, finding.detail);
            if let Some(cure) = &finding.cure {
                let _ = writeln!(text, "{:<25} cure: {cure}", "");
            }
        }
    }
    if let Err(error) = super::show(text.as_bytes()) {
        return super::finish(Err(error));
    }
    let broken = findings
        .iter()
        .any(|finding| finding.verdict == Verdict::Broken);
    if broken {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn as_json(findings: &[Finding]) -> serde_json::Value {
    findings
        .iter()
        .map(|finding| {
            let verdict = match finding.verdict {
                Verdict::Good => "good",
                Verdict::Lacking => "lacking",
                Verdict::Broken => "broken",
            };
            serde_json::json!({"name": finding.name, "verdict": verdict, "detail": finding.detail, "cure": finding.cure})
        })
        .collect()
}

fn examine(environment: &Environment) -> Vec<Finding> {
    let path = environment.get("PATH").cloned().unwrap_or_default();
    let mut findings = vec![
        program(&path, "Xvnc", "tigervnc-standalone-server", Verdict::Broken),
        program(&path, "xkbcomp", "x11-xkb-utils", Verdict::Broken),
        program(&path, "openbox", "openbox", Verdict::Broken),
        program(&path, "dbus-daemon", "dbus", Verdict::Lacking),
        program(&path, "xterm", "xterm", Verdict::Lacking),
        font("fonts", &["DejaVu", "Noto"], "fonts-dejavu-core"),
        font("CJK fonts", &["CJK", "wqy", "ipa"], "fonts-noto-cjk"),
        font("emoji font", &["Emoji", "emoji"], "fonts-noto-color-emoji"),
        socket_directory(),
        shared_memory(),
    ];
    findings.push(control_groups());
    findings.push(watches());
    findings
}

fn good(name: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        name,
        verdict: Verdict::Good,
        detail: detail.into(),
        cure: None,
    }
}

fn apt(package: &str) -> String {
    format!("apt-get install -y {package}")
}

fn program(path: &OsStr, name: &'static str, package: &str, otherwise: Verdict) -> Finding {
    let found = std::env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    match found {
        Some(file) => good(name, file.display().to_string()),
        None => Finding {
            name,
            verdict: otherwise,
            detail: "not found in PATH".to_owned(),
            cure: Some(apt(package)),
        },
    }
}

fn font(name: &'static str, words: &[&str], package: &str) -> Finding {
    let mut folders = vec![
        PathBuf::from("/usr/share/fonts"),
        PathBuf::from("/usr/local/share/fonts"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if words.iter().any(|word| file.contains(word)) {
                return good(name, entry.path().display().to_string());
            }
        }
    }
    let detail = "none found: such characters show as boxes".to_owned();
    Finding {
        name,
        verdict: Verdict::Lacking,
        detail,
        cure: Some(apt(package)),
    }
}

/// X servers make their socket in a directory that root has to make first.
fn socket_directory() -> Finding {
    let name = "X sockets";
    let path = Path::new("/tmp/.X11-unix");
    let cure = Some("mkdir -p /tmp/.X11-unix && chmod 1777 /tmp/.X11-unix".to_owned());
    let writable = |dir: &Path| {
        nix::unistd::access(
            dir,
            nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK,
        )
        .is_ok()
    };
    if writable(path) || (!path.exists() && writable(Path::new("/tmp"))) {
        return good(name, path.display().to_string());
    }
    let detail = format!("{} is not writable", path.display());
    Finding {
        name,
        verdict: Verdict::Broken,
        detail,
        cure,
    }
}

fn shared_memory() -> Finding {
    let name = "/dev/shm";
    match private::free_mebibytes(Path::new(name)) {
        Ok(free) if free >= SHM_MIB => good(name, format!("{free} MiB free")),
        Ok(free) => Finding {
            name,
            verdict: Verdict::Lacking,
            detail: format!("{free} MiB free; browsers on the desktop want {SHM_MIB} MiB"),
            cure: Some("start the container with --shm-size=1g".to_owned()),
        },
        Err(error) => Finding {
            name,
            verdict: Verdict::Lacking,
            detail: error.to_string(),
            cure: Some("mount -t tmpfs tmpfs /dev/shm".to_owned()),
        },
    }
}

fn control_groups() -> Finding {
    let name = "cgroup v2";
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return good(name, "/sys/fs/cgroup");
    }
    let detail = "not mounted: limits of process groups are not available".to_owned();
    Finding {
        name,
        verdict: Verdict::Lacking,
        detail,
        cure: Some("boot with cgroup v2, or give the container one".to_owned()),
    }
}

fn watches() -> Finding {
    let name = "inotify watches";
    let path = "/proc/sys/fs/inotify/max_user_watches";
    let limit = fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    match limit {
        Some(limit) if limit >= WATCHES => good(name, limit.to_string()),
        other => Finding {
            name,
            verdict: Verdict::Lacking,
            detail: other.map_or("unknown".to_owned(), |limit| limit.to_string()),
            cure: Some(format!("sysctl fs.inotify.max_user_watches={WATCHES}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let finding = program(
            OsStr::new("/nonexistent"),
            "Xvnc",
            "tigervnc-standalone-server",
            Verdict::Broken,
        );
        assert_eq!(finding.verdict, Verdict::Broken);
        assert_eq!(
            finding.cure.as_deref(),
            Some("apt-get install -y tigervnc-standalone-server")
        );
    }
}
