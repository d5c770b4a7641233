//! Handshakes as conversations, played byte by byte.

use super::super::*;

/// Plays a handshake written as lines of (side, bytes), byte by byte.
fn play(lines: &[(Side, &[u8])]) -> Result<Handshake, CodecError> {
    let mut handshake = Handshake::default();
    for (side, bytes) in lines {
        for byte in bytes.chunks(1) {
            match side {
                Side::Client => handshake.read_client(byte)?,
                Side::Server => handshake.read_server(byte)?,
            };
        }
    }
    Ok(handshake)
}

const INIT: &[u8] =
    b"\x05\x00\x04\x00\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\0\0\0\0\0\0\x04name";

#[test]
#[expect(clippy::too_many_lines, reason = "a table of conversations")]
fn handshakes_of_all_versions_come_to_their_end() {
    use Side::{Client, Server};
    let (v3, v7, v8) = (b"RFB 003.003\n", b"RFB 003.007\n", b"RFB 003.008\n");
    let challenge = &[9; 16];
    let played: [&[(Side, &[u8])]; 6] = [
        &[
            (Server, v8),
            (Client, v8),
            (Server, &[2, 1, 2]),
            (Client, &[1]),
            (Server, &[0; 4]),
            (Client, &[1]),
            (Server, INIT),
        ],
        &[
            (Server, v8),
            (Client, v8),
            (Server, &[1, 2]),
            (Client, &[2]),
            (Server, challenge),
            (Client, challenge),
            (Server, &[0; 4]),
            (Client, &[1]),
            (Server, INIT),
        ],
        &[
            (Server, v8),
            (Client, v7),
            (Server, &[1, 1]),
            (Client, &[1]),
            (Client, &[1]),
            (Server, INIT),
        ],
        &[
            (Server, v7),
            (Client, v7),
            (Server, &[1, 2]),
            (Client, &[2]),
            (Server, challenge),
            (Client, challenge),
            (Server, &[0; 4]),
            (Client, &[1]),
            (Server, INIT),
        ],
        &[
            (Server, v8),
            (Client, v3),
            (Server, &[0, 0, 0, 1]),
            (Client, &[1]),
            (Server, INIT),
        ],
        &[
            (Server, v3),
            (Client, v3),
            (Server, &[0, 0, 0, 2]),
            (Server, challenge),
            (Client, challenge),
            (Server, &[0; 4]),
            (Client, &[1]),
            (Server, INIT),
        ],
    ];
    for lines in played {
        let mut handshake = play(lines).expect("a valid handshake");
        assert!(
            handshake.client_is_over() && handshake.server_is_over(),
            "{lines:?}"
        );
        assert_eq!(handshake.refusal(), None);
        assert_eq!(
            handshake.read_client(&[3, 0]),
            Ok(0),
            "messages are not handshake"
        );
        assert_eq!(handshake.read_server(&[0, 0]), Ok(0));
    }
}

#[test]
fn refusals_keep_the_servers_words() {
    use Side::{Client, Server};
    let (v3, v8) = (b"RFB 003.003\n", b"RFB 003.008\n");
    let none = play(&[(Server, v8), (Client, v8), (Server, b"\0\0\0\0\x04busy")]);
    assert_eq!(none.expect("valid").refusal().as_deref(), Some("busy"));
    let old = play(&[
        (Server, v8),
        (Client, v3),
        (Server, b"\0\0\0\0\0\0\0\x04busy"),
    ]);
    assert_eq!(old.expect("valid").refusal().as_deref(), Some("busy"));
    let failed = play(&[
        (Server, v8),
        (Client, v8),
        (Server, &[1, 2]),
        (Client, &[2]),
        (Server, &[9; 16]),
        (Client, &[9; 16]),
        (Server, b"\0\0\0\x01\0\0\0\x05wrong"),
    ]);
    assert_eq!(failed.expect("valid").refusal().as_deref(), Some("wrong"));
}

#[test]
fn a_handshake_that_cannot_be_followed_is_an_error() {
    use Side::{Client, Server};
    let v8 = b"RFB 003.008\n";
    let error = |lines: &[(Side, &[u8])]| play(lines).expect_err("not a handshake");
    assert!(matches!(
        error(&[(Server, b"HTTP/1.1 200")]),
        CodecError::Version { side: Server, .. }
    ));
    assert!(matches!(
        error(&[(Server, b"RFB 000.000\n")]),
        CodecError::Version { .. }
    ));
    let newer: &[(Side, &[u8])] = &[(Server, b"RFB 003.007\n"), (Client, v8)];
    assert!(matches!(
        error(newer),
        CodecError::Version { side: Client, .. }
    ));
    let tls: &[(Side, &[u8])] = &[
        (Server, v8),
        (Client, v8),
        (Server, &[1, 19]),
        (Client, &[19]),
    ];
    assert_eq!(error(tls), CodecError::Security { security_type: 19 });
    assert_eq!(
        error(&[(Client, v8)]),
        CodecError::OutOfTurn { side: Client }
    );
    let early: &[(Side, &[u8])] = &[(Server, v8), (Client, b"RFB 003.003\n"), (Client, &[1])];
    assert_eq!(error(early), CodecError::OutOfTurn { side: Client });
    assert_eq!(
        error(&[(Server, v8), (Server, &[1])]),
        CodecError::OutOfTurn { side: Server }
    );
}
