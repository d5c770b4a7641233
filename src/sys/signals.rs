//! Names and numbers of signals.

use nix::{libc, sys::signal::Signal};

/// Ends at once; cannot be caught.
pub const KILL: i32 = libc::SIGKILL;
/// Asks to end.
pub const TERM: i32 = libc::SIGTERM;

/// The number of a signal: a name with or without `SIG` in any case, or digits, 1 to 64. `None` when it is none.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let signal: Signal = match name {
        "POLL" => Signal::SIGIO,
        "CLD" => Signal::SIGCHLD,
        "IOT" => Signal::SIGABRT,
        _ => format!("SIG{name}").parse().ok()?,
    };
    Some(signal as i32)
}

/// The name of a signal, as in `SIGKILL`; real-time ones as in `SIGRTMIN+3`.
pub fn name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        // The kernel's first one: the C library keeps two for itself.
        Err(_) if (32..=64).contains(&number) => format!("SIGRTMIN+{}", number - 32),
        Err(_) => format!("SIG{number}"),
    }
}

/// Whether the kernel sends this one for CPU time: XCPU at the limit, KILL a second later.
pub fn is_cpu_limit(number: i32) -> bool {
    number == libc::SIGXCPU || number == libc::SIGKILL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_in_every_form() {
        for text in ["kill", "KILL", "SigKill", "9"] {
            assert_eq!(number(text), Some(9), "{text}");
        }
        for text in ["", "0", "65", "-9", "SIG", "NOTHING", "9 ", "SIGSIGKILL"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number("64"), Some(64));
        assert_eq!((name(9), name(15)), ("SIGKILL".into(), "SIGTERM".into()));
        assert_eq!(name(35), "SIGRTMIN+3");
        for one in 1..=31 {
            assert_eq!(number(&name(one)), Some(one));
        }
    }
}
