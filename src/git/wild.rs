//! Matches names with shell patterns exactly as git does (gitignore(5), "PATTERN FORMAT").

/// Steps after which a pattern counts as not matching: patterns with many stars can take exponential time.
const MOST_STEPS: u32 = 100_000;

/// What came of a try. Aborts say that trying from a later start is of no use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Match,
    NoMatch,
    Abort,
    AbortToStarStar,
}

/// Whether all of a text matches. With `pathname`, `*` and `?` match no slash and `**` between slashes matches directories.
pub(super) fn matches(pattern: &[u8], text: &[u8], pathname: bool) -> bool {
    let mut matcher = Matcher {
        pattern,
        text,
        pathname,
        steps: 0,
    };
    matcher.run(0, 0) == Outcome::Match
}

/// Whether a byte means more than itself.
pub(super) fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

struct Matcher<'a> {
    pattern: &'a [u8],
    text: &'a [u8],
    pathname: bool,
    steps: u32,
}

impl Matcher<'_> {
    fn pattern_at(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    fn text_at(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn run(&mut self, mut p: usize, mut t: usize) -> Outcome {
        let from = p;
        while p < self.pattern.len() {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Outcome::Abort;
            }
            let wanted = self.pattern[p];
            if t >= self.text.len() && wanted != b'*' {
                return Outcome::Abort;
            }
            let found = self.text_at(t);
            match wanted {
                b'*' => match self.star(from, p, t) {
                    Ok((next_p, next_t)) => (p, t) = (next_p, next_t),
                    Err(outcome) => return outcome,
                },
                b'?' if self.pathname && found == b'/' => return Outcome::NoMatch,
                b'?' => {}
                b'[' => match self.class(p, found) {
                    Some((true, end)) => p = end,
                    Some((false, _)) => return Outcome::NoMatch,
                    None => return Outcome::Abort,
                },
                b'\\' => {
                    p += 1;
                    if p >= self.pattern.len() || self.pattern[p] != found {
                        return Outcome::NoMatch;
                    }
                }
                literal if literal != found => return Outcome::NoMatch,
                _ => {}
            }
            p += 1;
            t += 1;
        }
        if t < self.text.len() {
            Outcome::NoMatch
        } else {
            Outcome::Match
        }
    }

    /// One or more stars at `p`. Ok: a single star before a slash took the text up to the next one; both stand on it.
    fn star(&mut self, from: usize, p: usize, t: usize) -> Result<(usize, usize), Outcome> {
        let mut next = p + 1;
        let mut crosses = !self.pathname;
        if self.pattern_at(next) == b'*' {
            while self.pattern_at(next) == b'*' {
                next += 1;
            }
            let starts = p == from || self.pattern[p - 1] == b'/';
            let rest = &self.pattern[next..];
            if self.pathname
                && starts
                && (rest.is_empty() || rest[0] == b'/' || rest.starts_with(b"\\/"))
            {
                if rest.first() == Some(&b'/') && self.run(next + 1, t) == Outcome::Match {
                    return Err(Outcome::Match);
                }
                crosses = true;
            }
        }
        if next == self.pattern.len() {
            let blocked = !crosses && self.text[t..].contains(&b'/');
            return Err(if blocked {
                Outcome::AbortToStarStar
            } else {
                Outcome::Match
            });
        }
        if !crosses && self.pattern[next] == b'/' {
            let slash = self.text[t..].iter().position(|byte| *byte == b'/');
            return slash.map(|offset| (next, t + offset)).ok_or(Outcome::Abort);
        }
        Err(self.spread(next, t, crosses))
    }

    /// Tries what follows a star from each place that the star can reach.
    fn spread(&mut self, p: usize, mut t: usize, crosses: bool) -> Outcome {
        let literal = (!is_special(self.pattern[p])).then_some(self.pattern[p]);
        while t < self.text.len() {
            if let Some(literal) = literal {
                let reach = self.text[t..]
                    .iter()
                    .position(|byte| *byte == literal || (!crosses && *byte == b'/'));
                match reach {
                    Some(offset) if self.text[t + offset] == literal => t += offset,
                    None if crosses => return Outcome::Abort,
                    _ => return Outcome::AbortToStarStar,
                }
            }
            match self.run(p, t) {
                Outcome::NoMatch if !crosses && self.text[t] == b'/' => {
                    return Outcome::AbortToStarStar;
                }
                Outcome::NoMatch => {}
                Outcome::AbortToStarStar if crosses => {}
                outcome => return outcome,
            }
            t += 1;
        }
        Outcome::Abort
    }

    /// A bracket expression at `p`: whether the byte is in it, and where it ends. None: it does not end.
    fn class(&self, p: usize, byte: u8) -> Option<(bool, usize)> {
        let mut at = p + 1;
        let negated = matches!(self.pattern_at(at), b'!' | b'^');
        at += usize::from(negated);
        let (mut matched, mut previous, mut first) = (false, 0_u8, true);
        loop {
            let mut member = *self.pattern.get(at)?;
            if member == b']' && !first {
                break;
            }
            first = false;
            let after = self.pattern_at(at + 1);
            if member == b'-' && previous != 0 && after != 0 && after != b']' {
                at += 1;
                member = self.pattern[at];
                if member == b'\\' {
                    at += 1;
                    member = *self.pattern.get(at)?;
                }
                matched |= (previous..=member).contains(&byte);
                member = 0; // a range is no start of another one
            } else if member == b'[' && after == b':' {
                if let Some((has, end)) = self.named_class(at, byte)? {
                    matched |= has;
                    at = end;
                    member = 0;
                } else {
                    matched |= byte == b'[';
                }
            } else {
                if member == b'\\' {
                    at += 1;
                    member = *self.pattern.get(at)?;
                }
                matched |= member == byte;
            }
            previous = member;
            at += 1;
        }
        let allowed = matched != negated && !(self.pathname && byte == b'/');
        Some((allowed, at))
    }

    /// `[:name:]` at `at`. Some(None): it is no class but a plain bracket. None: nothing can match.
    #[expect(
        clippy::option_option,
        reason = "no class, and no match at all, are apart"
    )]
    fn named_class(&self, at: usize, byte: u8) -> Option<Option<(bool, usize)>> {
        let rest = &self.pattern[at + 2..];
        let length = rest.iter().position(|byte| *byte == b']')?;
        let Some(name) = rest[..length].strip_suffix(b":") else {
            return Some(None);
        };
        let has = match name {
            b"alnum" => byte.is_ascii_alphanumeric(),
            b"alpha" => byte.is_ascii_alphabetic(),
            b"blank" => matches!(byte, b' ' | b'\t'),
            b"cntrl" => byte.is_ascii_control(),
            b"digit" => byte.is_ascii_digit(),
            b"graph" => byte.is_ascii_graphic(),
            b"lower" => byte.is_ascii_lowercase(),
            b"print" => byte.is_ascii_graphic() || byte == b' ',
            b"punct" => byte.is_ascii_punctuation(),
            b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
            b"upper" => byte.is_ascii_uppercase(),
            b"xdigit" => byte.is_ascii_hexdigit(),
            _ => return None,
        };
        Some(Some((has, at + 2 + length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), true)
    }

    #[test]
    fn patterns_match_as_git_has_it() {
        for (pattern, text) in [
            ("foo", "foo"),
            ("f?o", "foo"),
            ("*", "foo"),
            ("**/foo", "foo"),
            ("**/foo", "a/b/foo"),
            ("a/**/b", "a/b"),
            ("a/**/b", "a/x/y/b"),
            ("a/**", "a/x/y"),
            ("*/b", "a/b"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[[:digit:]]*", "1a"),
            ("\\*", "*"),
            ("a*c*e", "abcde"),
            ("**", "a/b"),
        ] {
            assert!(path(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("foo", "bar"),
            ("*", "a/b"),
            ("a/*", "a/x/y"),
            ("a/**/b", "a/xb"),
            ("[a-c]x", "/x"),
            ("?", "/"),
            ("[a", "a"),
            ("a**b", "a/b"),
        ] {
            assert!(!path(pattern, text), "{pattern} {text}");
        }
        assert!(matches(b"a*b", b"a/b", false));
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = "*a".repeat(200);
        assert!(!matches(pattern.as_bytes(), &[b'a'; 190], false));
        assert!(!matches(
            format!("{}b", "**/a*".repeat(50)).as_bytes(),
            &b"a/".repeat(300),
            true
        ));
    }
}
