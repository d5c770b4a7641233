//! Names and numbers of signals.

use nix::{libc, sys::signal::Signal};

/// Ends at once; cannot be caught.
pub const KILL: i32 = libc::SIGKILL;
/// Asks to end.
pub const TERM: i32 = libc::SIGTERM;

/// The number of a signal: a name with or without `SIG` in any case, or digits, 1 to 64. `None` when it is none.
pub fn number(text: &str) -> Option<i32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse().ok()?;
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = real_time(name) {
        return Some(number);
    }
    let signal: Signal = match name {
        "POLL" => Signal::SIGIO,
        "CLD" => Signal::SIGCHLD,
        "IOT" => Signal::SIGABRT,
        _ => format!("SIG{name}").parse().ok()?,
    };
    Some(signal as i32)
}

/// First and last real-time signal that programs get; the C library keeps the two before them for itself.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// `RTMIN`, `RTMIN+3`, `RTMAX-3`, as `kill -l` of a shell says.
fn real_time(name: &str) -> Option<i32> {
    let distance = |text: &str, sign: char| match text.strip_prefix(sign) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => text.is_empty().then_some(0_i32),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => REAL_TIME.start().checked_add(distance(rest, '+')?)?,
        (_, Some(rest)) => REAL_TIME.end().checked_sub(distance(rest, '-')?)?,
        (None, None) => return None,
    };
    REAL_TIME.contains(&number).then_some(number)
}

/// The name of a signal, as in `SIGKILL`; real-time ones as in `SIGRTMIN+3`.
pub fn name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) if number == *REAL_TIME.start() => "SIGRTMIN".to_owned(),
        Err(_) if REAL_TIME.contains(&number) => {
            format!("SIGRTMIN+{}", number - REAL_TIME.start())
        }
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
        for text in [
            "",
            "0",
            "65",
            "-9",
            "SIG",
            "NOTHING",
            "9 ",
            "+9",
            "SIGSIGKILL",
            "RTMIN+31",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number("64"), Some(64));
        assert_eq!((name(9), name(15)), ("SIGKILL".into(), "SIGTERM".into()));
        assert_eq!(
            (name(34), name(37)),
            ("SIGRTMIN".into(), "SIGRTMIN+3".into())
        );
        assert_eq!(number("rtmax-1"), Some(63));
        for one in (1..=31).chain(34..=64) {
            assert_eq!(number(&name(one)), Some(one));
        }
    }
}
