//! The codec against an encoder of its own: every message, any fragmentation, any rubbish.

use proptest::{collection::vec, prelude::*};

use super::{
    message::{EXTENDED_MOUSE_BUTTONS, HEADER_MAX, Measured, Shape, measure},
    *,
};

/// A client message as its documents describe it.
#[derive(Clone, Debug)]
enum Message {
    PixelFormat([u8; 16]),
    ColourMap(u16, Vec<[u8; 6]>),
    Encodings(Vec<i32>),
    UpdateRequest(bool, [u16; 4]),
    Key(bool, u32),
    Pointer(u8, u16, u16),
    LongPointer(u16, u16, u16),
    CutText(Vec<u8>),
    Clipboard(u32, Vec<u8>),
    ContinuousUpdates(bool, [u16; 4]),
    Fence(u32, Vec<u8>),
    Xvp(u8),
    DesktopSize(u16, u16, Vec<[u8; 16]>),
    QemuKey(bool, u32, u32),
    AudioOn,
    AudioOff,
    AudioFormat(u8, u8, u32),
}

impl Message {
    fn kind(&self) -> Kind {
        match self {
            Self::PixelFormat(_) => Kind::SetPixelFormat,
            Self::ColourMap(..) => Kind::FixColourMapEntries,
            Self::Encodings(_) => Kind::SetEncodings,
            Self::UpdateRequest(..) => Kind::FramebufferUpdateRequest,
            Self::Key(..) => Kind::KeyEvent,
            Self::Pointer(..) | Self::LongPointer(..) => Kind::PointerEvent,
            Self::CutText(_) => Kind::ClientCutText,
            Self::Clipboard(..) => Kind::ExtendedClipboard,
            Self::ContinuousUpdates(..) => Kind::EnableContinuousUpdates,
            Self::Fence(..) => Kind::ClientFence,
            Self::Xvp(_) => Kind::Xvp,
            Self::DesktopSize(..) => Kind::SetDesktopSize,
            Self::QemuKey(..) => Kind::QemuKeyEvent,
            Self::AudioOn | Self::AudioOff | Self::AudioFormat(..) => Kind::QemuAudio,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::PixelFormat(format) => parts(&mut out, &[&[0, 0, 0, 0], format]),
            Self::ColourMap(first, colours) => {
                let count = u16::try_from(colours.len()).expect("short").to_be_bytes();
                parts(&mut out, &[&[1, 0], &first.to_be_bytes(), &count]);
                out.extend(colours.iter().flatten());
            }
            Self::Encodings(list) => {
                let count = u16::try_from(list.len()).expect("short").to_be_bytes();
                parts(&mut out, &[&[2, 0], &count]);
                out.extend(list.iter().flat_map(|encoding| encoding.to_be_bytes()));
            }
            Self::UpdateRequest(flag, area) => {
                out.extend([3, u8::from(*flag)]);
                out.extend(area.iter().flat_map(|number| number.to_be_bytes()));
            }
            Self::Key(down, keysym) => {
                parts(
                    &mut out,
                    &[&[4, u8::from(*down), 0, 0], &keysym.to_be_bytes()],
                );
            }
            Self::Pointer(mask, x, y) => {
                parts(&mut out, &[&[5, *mask], &x.to_be_bytes(), &y.to_be_bytes()]);
            }
            Self::LongPointer(mask, x, y) => {
                let low = 0x80 | mask.to_be_bytes()[1] & 0x7f;
                let high = (mask >> 7).to_be_bytes()[1];
                parts(
                    &mut out,
                    &[&[5, low], &x.to_be_bytes(), &y.to_be_bytes(), &[high]],
                );
            }
            Self::CutText(text) => {
                let length = u32::try_from(text.len()).expect("short").to_be_bytes();
                parts(&mut out, &[&[6, 0, 0, 0], &length, text]);
            }
            Self::Clipboard(flags, data) => {
                let length = -i32::try_from(data.len() + 4).expect("short");
                let head = [6, 0, 0, 0];
                let (length, flags) = (length.to_be_bytes(), flags.to_be_bytes());
                parts(&mut out, &[&head, &length, &flags, data]);
            }
            Self::ContinuousUpdates(flag, area) => {
                out.extend([150, u8::from(*flag)]);
                out.extend(area.iter().flat_map(|number| number.to_be_bytes()));
            }
            Self::Fence(flags, data) => {
                let length = u8::try_from(data.len()).expect("short");
                parts(
                    &mut out,
                    &[&[248, 0, 0, 0], &flags.to_be_bytes(), &[length], data],
                );
            }
            Self::Xvp(code) => out.extend([250, 0, 1, *code]),
            Self::DesktopSize(width, height, screens) => {
                let count = u8::try_from(screens.len()).expect("short");
                let (width, height) = (width.to_be_bytes(), height.to_be_bytes());
                parts(&mut out, &[&[251, 0], &width, &height, &[count, 0]]);
                out.extend(screens.iter().flatten());
            }
            Self::QemuKey(down, keysym, keycode) => {
                let (keysym, keycode) = (keysym.to_be_bytes(), keycode.to_be_bytes());
                parts(
                    &mut out,
                    &[&[255, 0, 0, u8::from(*down)], &keysym, &keycode],
                );
            }
            Self::AudioOn => out.extend([255, 1, 0, 0]),
            Self::AudioOff => out.extend([255, 1, 0, 1]),
            Self::AudioFormat(format, channels, frequency) => {
                parts(
                    &mut out,
                    &[
                        &[255, 1, 0, 2, *format, *channels],
                        &frequency.to_be_bytes(),
                    ],
                );
            }
        }
        out
    }
}

fn parts(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.extend(parts.concat());
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(Message::PixelFormat),
        (any::<u16>(), vec(any::<[u8; 6]>(), 0..4)).prop_map(|(a, b)| Message::ColourMap(a, b)),
        vec(
            prop_oneof![any::<i32>(), Just(EXTENDED_MOUSE_BUTTONS)],
            0..6
        )
        .prop_map(Message::Encodings),
        any::<(bool, [u16; 4])>().prop_map(|(a, b)| Message::UpdateRequest(a, b)),
        (any::<bool>(), 0..4_u32).prop_map(|(a, b)| Message::Key(a, b)),
        any::<(u8, u16, u16)>().prop_map(|(a, b, c)| Message::Pointer(a, b, c)),
        (0..512_u16, any::<u16>(), any::<u16>())
            .prop_map(|(a, b, c)| Message::LongPointer(a, b, c)),
        vec(any::<u8>(), 0..60).prop_map(Message::CutText),
        (any::<u32>(), vec(any::<u8>(), 0..60)).prop_map(|(a, b)| Message::Clipboard(a, b)),
        any::<(bool, [u16; 4])>().prop_map(|(a, b)| Message::ContinuousUpdates(a, b)),
        (any::<u32>(), vec(any::<u8>(), 0..=64)).prop_map(|(a, b)| Message::Fence(a, b)),
        any::<u8>().prop_map(Message::Xvp),
        (any::<u16>(), any::<u16>(), vec(any::<[u8; 16]>(), 0..4))
            .prop_map(|(a, b, c)| Message::DesktopSize(a, b, c)),
        (any::<bool>(), 0..4_u32, 0..4_u32).prop_map(|(a, b, c)| Message::QemuKey(a, b, c)),
        Just(Message::AudioOn),
        Just(Message::AudioOff),
        any::<(u8, u8, u32)>().prop_map(|(a, b, c)| Message::AudioFormat(a, b, c)),
    ]
}

/// Messages of one client: the long pointer form only while it has announced it, the marker bit never else.
fn conversation() -> impl Strategy<Value = Vec<Message>> {
    vec(message(), 0..30).prop_map(|messages| {
        let mut long = false;
        let keep = |message: Message| {
            match &message {
                Message::Encodings(list) => long = list.contains(&EXTENDED_MOUSE_BUTTONS),
                Message::LongPointer(..) if !long => return None,
                Message::Pointer(mask, x, y) if long => {
                    return Some(Message::Pointer(mask & 0x7f, *x, *y));
                }
                _ => {}
            }
            Some(message)
        };
        messages.into_iter().filter_map(keep).collect()
    })
}

/// Feeds `input` cut at `cuts` and gives what is forwarded, and how it ended.
fn feed(
    reader: &mut ClientReader,
    input: &[u8],
    cuts: &[usize],
) -> (Vec<u8>, Activity, Result<(), CodecError>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    let (mut out, mut activity, mut verdicts) =
        (Vec::new(), Activity::default(), Verdicts::default());
    for cut in cuts.windows(2) {
        let piece = &input[cut[0]..cut[1]];
        let result = reader.read(piece, &mut verdicts);
        out.extend(verdicts.pieces(piece).flatten());
        match result {
            Ok(seen) => activity |= seen,
            Err(error) => return (out, activity, Err(error)),
        }
    }
    (out, activity, Ok(()))
}

fn encode(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(Message::encode).collect()
}

proptest! {
    #[test]
    fn every_message_measures_as_it_was_encoded(message in message()) {
        let bytes = message.encode();
        let long = matches!(message, Message::LongPointer(..));
        let mut prefix = 0;
        let shape = loop {
            match measure(&bytes[..prefix], long).expect("a valid message") {
                Measured::Needs(needed) => {
                    prop_assert!(needed > prefix && needed <= HEADER_MAX);
                    prefix = needed;
                }
                Measured::Whole(shape) => break shape,
            }
        };
        let payload = u32::try_from(bytes.len() - shape.header).expect("short");
        prop_assert_eq!(shape, Shape { kind: message.kind(), header: prefix, payload });
    }

    #[test]
    fn a_viewer_in_control_is_forwarded_unaltered(
        messages in conversation(), cuts in vec(any::<usize>(), 0..40),
    ) {
        let input = encode(&messages);
        let mut reader = ClientReader::new(false);
        let (out, _, result) = feed(&mut reader, &input, &cuts);
        prop_assert_eq!(result, Ok(()));
        prop_assert!(reader.at_boundary());
        prop_assert_eq!(out, input);
    }

    #[test]
    fn view_only_drops_whole_messages_and_nothing_else(
        messages in conversation(), cuts in vec(any::<usize>(), 0..40),
    ) {
        let mut reader = ClientReader::new(true);
        let (out, activity, result) = feed(&mut reader, &encode(&messages), &cuts);
        let kept: Vec<_> = messages.into_iter().filter(|m| !m.kind().acts_on_desktop()).collect();
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(out, encode(&kept));
        prop_assert!(!activity.any());
        prop_assert!(reader.held().is_empty());
    }

    #[test]
    fn rubbish_is_judged_the_same_in_any_fragmentation(
        start in conversation(), rubbish in vec(any::<u8>(), 0..200),
        cuts in vec(any::<usize>(), 0..40), view_only: bool,
    ) {
        let mut input = encode(&start);
        input.extend(rubbish);
        let whole = feed(&mut ClientReader::new(view_only), &input, &[]);
        let cut = feed(&mut ClientReader::new(view_only), &input, &cuts);
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!(&whole.2, &cut.2);
    }

    #[test]
    fn rubbish_in_the_handshake_is_judged_the_same_in_any_fragmentation(
        bytes in vec(any::<u8>(), 0..80), cut in any::<usize>(), version in 0..3_usize, of_server: bool,
    ) {
        let version = [&b"RFB 003.003\n"[..], b"RFB 003.007\n", b"RFB 003.008\n"][version];
        let run = |cut: usize| {
            let mut handshake = Handshake::default();
            handshake.read_server(b"RFB 003.008\n")?;
            handshake.read_client(version)?;
            let (one, two) = bytes.split_at(cut);
            for part in [one, two] {
                if of_server {
                    handshake.read_server(part)?;
                } else {
                    handshake.read_client(part)?;
                }
            }
            Ok::<_, CodecError>(format!("{handshake:?}"))
        };
        prop_assert_eq!(run(0), run(cut % (bytes.len() + 1)));
    }

    #[test]
    fn release_messages_release_everything(messages in conversation()) {
        let mut reader = ClientReader::new(false);
        feed(&mut reader, &encode(&messages), &[]).2.expect("valid messages");
        let release = reader.held().release_messages();
        prop_assert_eq!(release.is_empty(), reader.held().is_empty());
        feed(&mut reader, &release, &[]).2.expect("valid messages");
        prop_assert!(reader.held().is_empty());
    }
}

fn refused(input: &[u8]) -> CodecError {
    let (out, _, result) = feed(&mut ClientReader::new(false), input, &[]);
    assert_eq!(out, b"", "nothing of a refused message is forwarded");
    result.expect_err("a refused message")
}

#[test]
fn unknown_types_and_forms_are_errors() {
    for message_type in
        (0..=255).filter(|t| ![0, 1, 2, 3, 4, 5, 6, 150, 248, 250, 251, 255].contains(t))
    {
        assert_eq!(
            refused(&[message_type]),
            CodecError::UnknownMessage { message_type }
        );
    }
    let unknown = |form| CodecError::UnknownForm {
        message_type: 255,
        form,
    };
    assert_eq!(refused(&[255, 2]), unknown(2));
    assert_eq!(refused(&[255, 1, 0, 3]), unknown(3));
}

#[test]
fn lengths_have_limits() {
    let too_long = |message_type, length, limit| CodecError::TooLong {
        message_type,
        length,
        limit,
    };
    assert_eq!(refused(&[2, 0, 4, 1]), too_long(2, 1025, 1024));
    assert_eq!(
        refused(&[248, 0, 0, 0, 0, 0, 0, 0, 65]),
        too_long(248, 65, 64)
    );
    assert_eq!(refused(&[251, 0, 0, 1, 0, 1, 65, 0]), too_long(251, 65, 64));
    let over = u64::from(CUT_TEXT_MAX) + 1;
    let length = (CUT_TEXT_MAX + 1).to_be_bytes();
    assert_eq!(
        refused(&[&[6, 0, 0, 0][..], &length].concat()),
        too_long(6, over, CUT_TEXT_MAX.into())
    );
    assert_eq!(
        refused(&[6, 0, 0, 0, 0x80, 0, 0, 0]),
        too_long(6, 1 << 31, CUT_TEXT_MAX.into())
    );
    assert_eq!(
        refused(&[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfd]),
        CodecError::ClipboardTooShort { length: 3 }
    );
}

#[test]
fn a_long_clipboard_streams_without_being_kept() {
    let mut reader = ClientReader::new(false);
    let mut verdicts = Verdicts::default();
    let head = [&[6, 0, 0, 0][..], &(10_u32 << 20).to_be_bytes()].concat();
    let seen = reader.read(&head, &mut verdicts).expect("within the limit");
    assert!(seen.clipboard);
    let chunk = vec![b'x'; 1 << 20];
    for left in (0..10).rev() {
        reader.read(&chunk, &mut verdicts).expect("payload");
        assert!(
            verdicts.pieces(&chunk).eq([&chunk[..]]),
            "passed on as it is"
        );
        assert_eq!(reader.at_boundary(), left == 0);
    }
}

#[test]
fn the_marker_bit_means_something_only_to_those_who_announced_it() {
    let plain = [5, 0xff, 0, 1, 0, 2];
    let long = [5, 0x81, 0, 1, 0, 2, 1];
    let mut reader = ClientReader::new(false);
    feed(&mut reader, &plain, &[])
        .2
        .expect("button 8 of a plain pointer");
    assert!(reader.at_boundary());
    let announce = Message::Encodings(vec![0, EXTENDED_MOUSE_BUTTONS]).encode();
    feed(&mut reader, &announce, &[3, 5, 9])
        .2
        .expect("encodings");
    feed(&mut reader, &long, &[6])
        .2
        .expect("button 8 of a long pointer");
    feed(&mut reader, &Message::Encodings(vec![]).encode(), &[])
        .2
        .expect("encodings");
    feed(&mut reader, &plain, &[]).2.expect("plain again");
    assert_eq!(reader.held().release_messages(), [5, 0, 0, 1, 0, 2]);
}

#[test]
fn held_keys_are_released_in_reverse_each_in_its_form() {
    let mut reader = ClientReader::new(false);
    let messages = [
        Message::Key(true, 0xffe1),
        Message::QemuKey(true, u32::from(b'A'), 30),
        Message::Key(true, 0xffe3),
        Message::Key(true, 0xffe3),
        Message::Key(false, 0xffe3),
    ];
    feed(&mut reader, &encode(&messages), &[]).2.expect("keys");
    let expected = [
        Message::QemuKey(false, u32::from(b'A'), 30),
        Message::Key(false, 0xffe1),
    ];
    assert_eq!(reader.held().release_messages(), encode(&expected));
    // Shift went up first, so the same key now means another keysym.
    let lower = [
        Message::Key(false, 0xffe1),
        Message::QemuKey(false, u32::from(b'a'), 30),
    ];
    feed(&mut reader, &encode(&lower), &[]).2.expect("keys");
    assert!(reader.held().is_empty());
}

#[test]
fn nobody_holds_more_keys_than_can_be_remembered() {
    let presses: Vec<_> = (0..300).map(|keysym| Message::Key(true, keysym)).collect();
    let (out, _, result) = feed(&mut ClientReader::new(false), &encode(&presses), &[]);
    assert_eq!(out, encode(&presses[..256]));
    assert_eq!(
        result,
        Err(CodecError::TooManyKeys {
            message_type: 4,
            limit: 256
        })
    );
}

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
