//! Xauthority files (Xsecurity(7), libXau): a list of records of family, address, display number, scheme and secret,
//! each string with its length in two bytes, most significant first. Pure.

/// Name of the only scheme we speak.
const SCHEME: &[u8] = b"MIT-MAGIC-COOKIE-1";
/// A record for connections by the Unix socket of the host named in its address.
const LOCAL: u16 = 256;
/// A record for connections of any kind.
const WILD: u16 = 0xffff;

/// A cookie, as the X protocol carries it.
pub type Cookie = [u8; 16];

/// The file for one display: an entry for this host, which clients look for first, and one for whatever name the host
/// gets later. An empty `display` matches every number.
pub fn encode(host: &[u8], display: &str, cookie: &Cookie) -> Vec<u8> {
    let mut out = Vec::new();
    for (family, address) in [(LOCAL, host), (WILD, &b""[..])] {
        out.extend(family.to_be_bytes());
        for field in [address, display.as_bytes(), SCHEME, cookie] {
            let length = u16::try_from(field.len()).expect("names of hosts and schemes are short");
            out.extend(length.to_be_bytes());
            out.extend(field);
        }
    }
    out
}

/// The cookie for a local display (its number in decimal), from a whole file. The first record that fits counts;
/// a truncated file counts as far as it is whole.
pub fn find(file: &[u8], display: &str) -> Option<Cookie> {
    let mut rest = file;
    loop {
        let (family, after) = rest.split_at_checked(2)?;
        rest = after;
        let _address = field(&mut rest)?;
        let number = field(&mut rest)?;
        let scheme = field(&mut rest)?;
        let secret = field(&mut rest)?;
        let family = u16::from_be_bytes([family[0], family[1]]);
        let fits = (family == LOCAL || family == WILD)
            && (number.is_empty() || number == display.as_bytes())
            && scheme == SCHEME;
        if let (true, Ok(cookie)) = (fits, secret.try_into()) {
            return Some(cookie);
        }
    }
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_at_checked(2)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let (field, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found() {
        let file = encode(b"machine", "7", &[9; 16]);
        assert_eq!(find(&file, "7"), Some([9; 16]));
        assert_eq!(find(&file, "8"), None);
        assert_eq!(find(&encode(b"machine", "", &[8; 16]), "8"), Some([8; 16]));
        for end in 0..file.len() {
            let _ = find(&file[..end], "7");
        }
    }

    #[test]
    fn records_of_other_kinds_are_passed_over() {
        let mut file = encode(b"", "1", &[1; 16]);
        file.extend(encode(b"", "2", &[2; 16]));
        assert_eq!(find(&file, "2"), Some([2; 16]));
        file[1] = 4;
        assert_eq!(find(&file, "1"), Some([1; 16]), "the wildcard is left");
    }
}
