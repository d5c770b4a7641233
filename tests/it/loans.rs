//! Texts that are lent for one paste: they reach the program with the keyboard whole, and what was there comes back.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use deskd::desktop::clipboard::{Clipboard, ClipboardError, Content, Item, Kind, Selection};
use serde_json::json;

use crate::{
    desktop::{Entry, address},
    support::{
        daemon::{Daemon, PATIENCE},
        rfb_client::RfbClient,
        selection::Peer,
        xserver::XServer,
    },
    windows::Watch,
};

const TEXT: &str = "naïve – Ω 漢字 кириллица 🎉";
const LIMIT: Duration = Duration::from_secs(20);

async fn clipboard(daemon: &Daemon) -> Clipboard {
    Clipboard::new(address(daemon).await)
}

/// What is there, as text.
async fn text(clipboard: &Clipboard) -> Result<String, ClipboardError> {
    let bytes = clipboard.read(Selection::Clipboard, Kind::Text).await?;
    Ok(String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

/// The lending side of a paste, with the keys in the middle.
async fn paste(daemon: &Daemon, clipboard: &Clipboard, text: &str, keys: &str) {
    let mut loan = clipboard.lend(text.to_owned()).await.expect("a loan");
    daemon.action(json!({"action": "key", "text": keys})).await;
    assert!(loan.taken(LIMIT).await, "it is taken");
    loan.give_back().await.expect("given back");
}

async fn pasted_into(script: &str, pasted: &str) {
    let daemon = Daemon::start(&[]);
    let clipboard = clipboard(&daemon).await;
    let before = Content::text("before");
    clipboard
        .write(Selection::Clipboard, before)
        .await
        .expect("written");
    let entry = Entry::start(&daemon, script).await;
    paste(&daemon, &clipboard, pasted, "ctrl+v").await;
    paste(&daemon, &clipboard, " twice", "ctrl+v").await;
    assert_eq!(text(&clipboard).await.expect("text"), "before");
    daemon
        .action(json!({"action": "key", "text": "Return"}))
        .await;
    assert_eq!(entry.finish(), format!("{pasted} twice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gtk_entry_takes_it() {
    pasted_into("gtk_entry.py", TEXT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qt_entry_takes_it() {
    pasted_into("qt_entry.py", TEXT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xterm_takes_it() {
    pasted_into_xterm(TEXT).await;
}

/// Too large for one piece.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_text_is_taken_whole() {
    let lines: Vec<String> = (0..3000).map(|line| format!("{line:05} {TEXT}")).collect();
    pasted_into_xterm(&lines.join("\n")).await;
}

/// xterm inserts PRIMARY.
async fn pasted_into_xterm(text: &str) {
    let daemon = Daemon::start(&[]);
    let clipboard = clipboard(&daemon).await;
    let watch = Watch::start(&daemon).await;
    let file = daemon.home().path().join("typed");
    let mut command = daemon.program("xterm").await;
    let script = format!("cat > {}", file.display());
    command.args(["-u8", "-T", "reading", "-e", "sh", "-c", &script]);
    let mut child = command.spawn().expect("xterm starts");
    watch.titled(&daemon, "reading").await;
    let lent = clipboard.lend_on(Selection::Primary, text.to_owned()).await;
    let mut loan = lent.expect("a loan");
    daemon
        .action(json!({"action": "key", "text": "shift+Insert"}))
        .await;
    assert!(loan.taken(LIMIT).await);
    loan.give_back().await.expect("given back");
    let nothing = clipboard.read(Selection::Primary, Kind::Text).await;
    assert!(
        matches!(nothing, Err(ClipboardError::Empty(_))),
        "{nothing:?}"
    );
    daemon
        .action(json!({"action": "key", "text": "Return ctrl+d"}))
        .await;
    tokio::task::block_in_place(|| child.wait()).expect("xterm ends");
    let read = std::fs::read_to_string(file).expect("the file");
    let sizes = (read.len(), text.len());
    assert!(read == format!("{text}\n"), "read and pasted: {sizes:?}");
}

async fn chromium(daemon: &Daemon) -> Child {
    let mut command: Command = daemon.program("chromium").await;
    let profile = daemon.home().path().join("chromium");
    let page = format!(
        "file://{}/tests/it/programs/chromium_page.html",
        env!("CARGO_MANIFEST_DIR")
    );
    command
        .args([
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--password-store=basic",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--app={page}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("Chromium starts")
}

/// Chromium asks several times: for the page's script, and for the field.
#[tokio::test(flavor = "multi_thread")]
async fn chromium_takes_it() {
    let daemon = Daemon::start(&[]);
    let clipboard = clipboard(&daemon).await;
    let watch = Watch::start(&daemon).await;
    let before = Content::text("before");
    clipboard
        .write(Selection::Clipboard, before)
        .await
        .expect("written");
    let mut child = chromium(&daemon).await;
    watch.titled(&daemon, "ready").await;
    paste(&daemon, &clipboard, TEXT, "ctrl+v").await;
    let shown = watch
        .for_one(&daemon, |window| window["title"] != "ready")
        .await;
    assert_eq!(shown["title"], format!("true {TEXT}"));
    assert_eq!(text(&clipboard).await.expect("text"), "before");
    child.kill().expect("it runs");
    child.wait().expect("a child");
}

/// What another program had is put back in all its kinds, also those that we do not know.
#[tokio::test(flavor = "multi_thread")]
async fn the_content_of_a_program_comes_back_in_all_its_kinds() {
    let daemon = Daemon::start(&[]);
    let clipboard = clipboard(&daemon).await;
    let (ours, theirs) = (address(&daemon).await, address(&daemon).await);
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let owner = std::thread::Builder::new().spawn(move || {
        let owner = Peer::open(&theirs);
        owner.own("CLIPBOARD");
        tell.send(()).expect("the test waits");
        let kinds = ["UTF8_STRING", "text/html", "application/x-own"];
        for _ in 0..=kinds.len() {
            let request = owner.request();
            match kinds
                .into_iter()
                .find(|kind| owner.atom(kind) == request.target)
            {
                Some(kind) => {
                    owner.answer(&request, request.target, format!("<{kind}>").as_bytes());
                }
                None => owner.answer_targets(
                    &request,
                    &["TARGETS", "UTF8_STRING", "text/html", "application/x-own"],
                ),
            }
        }
        owner
    });
    tokio::task::block_in_place(|| told.recv()).expect("it owns");
    let loan = clipboard.lend("lent".to_owned()).await.expect("a loan");
    let owner = owner.expect("a thread").join().expect("no panic");
    drop(owner);
    let reader = Peer::open(&ours);
    let lent =
        tokio::task::block_in_place(|| reader.take(reader.convert("CLIPBOARD", "UTF8_STRING")));
    assert_eq!(lent.1, b"lent");
    // Who reads the clipboard here does not see the loan.
    assert_eq!(text(&clipboard).await.expect("text"), "<UTF8_STRING>");
    drop(loan);
    assert_eq!(text(&clipboard).await.expect("text"), "<UTF8_STRING>");
    for kind in ["UTF8_STRING", "text/html", "application/x-own"] {
        let (type_, bytes) = reader.take(reader.convert("CLIPBOARD", kind));
        assert_eq!(
            (type_, bytes),
            (reader.atom(kind), format!("<{kind}>").into_bytes())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_ends_when_another_program_copies() {
    let daemon = Daemon::start(&[]);
    let clipboard = clipboard(&daemon).await;
    let mut loan = clipboard.lend("lent".to_owned()).await.expect("a loan");
    let other = Peer::open(&address(&daemon).await);
    let copies = async { tokio::task::block_in_place(|| other.own("CLIPBOARD")) };
    let (taken, ()) = tokio::join!(loan.taken(LIMIT), copies);
    assert!(!taken);
    loan.give_back().await.expect("nothing to do");
    assert_eq!(
        other.owner_of("CLIPBOARD"),
        other.window,
        "it keeps what it copied"
    );
}

/// A fetch by a program without the keyboard is not the paste.
#[tokio::test(flavor = "multi_thread")]
async fn a_clipboard_manager_does_not_count() {
    let daemon = Daemon::start(&[]);
    let clipboard = clipboard(&daemon).await;
    let _entry = Entry::start(&daemon, "gtk_entry.py").await;
    let manager = Peer::open(&address(&daemon).await);
    let mut loan = clipboard.lend("lent".to_owned()).await.expect("a loan");
    let fetched = manager.take(manager.convert("CLIPBOARD", "UTF8_STRING"));
    assert_eq!(fetched.1, b"lent");
    assert!(!loan.taken(Duration::from_millis(300)).await);
    daemon
        .action(json!({"action": "key", "text": "ctrl+v"}))
        .await;
    assert!(loan.taken(LIMIT).await, "now it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn loans_wait_for_each_other_and_writes_for_loans() {
    let daemon = Daemon::start(&[]);
    let clipboard = clipboard(&daemon).await;
    let loan = clipboard.lend("first".to_owned()).await.expect("a loan");
    let written = Content {
        items: vec![
            Item {
                kind: Kind::Text,
                bytes: "written".into(),
            },
            Item {
                kind: Kind::Html,
                bytes: "<i>written</i>".into(),
            },
        ],
    };
    clipboard
        .write(Selection::Clipboard, written.clone())
        .await
        .expect("written");
    let reader = Peer::open(&address(&daemon).await);
    let get = || {
        String::from_utf8(reader.take(reader.convert("CLIPBOARD", "UTF8_STRING")).1).expect("text")
    };
    assert_eq!(get(), "first", "the paste gets what it was promised");
    let second = clipboard.lend("second".to_owned());
    let first = async {
        assert_eq!(get(), "first");
        loan.give_back().await
    };
    let (second, first) = tokio::join!(second, first);
    first.expect("given back");
    assert_eq!(get(), "second");
    second
        .expect("a loan")
        .give_back()
        .await
        .expect("given back");
    assert_eq!(get(), "written");
    let kinds = clipboard.kinds(Selection::Clipboard).await.expect("kinds");
    assert_eq!(kinds, written.kinds());
}

/// A viewer hears of what is written, and writes itself; what is lent passes it by.
#[tokio::test(flavor = "multi_thread")]
async fn viewers_share_the_clipboard_but_not_what_is_lent() {
    let server = XServer::start(640, 480);
    let clipboard = Clipboard::new(crate::typing::address(&server));
    let stream = tokio::net::UnixStream::connect(server.rfb()).await;
    let stream = stream.expect("the RFB server listens");
    let mut viewer = RfbClient::connect(stream).await.expect("a viewer");
    for round in ["one", "two"] {
        let content = Content::text(round);
        clipboard
            .write(Selection::Clipboard, content)
            .await
            .expect("written");
        assert_eq!(viewer.cut_text().await.expect("a text"), round.as_bytes());
        let loan = clipboard.lend("secret".to_owned()).await.expect("a loan");
        loan.give_back().await.expect("given back");
        // It hears of the old text again, and of nothing between.
        assert_eq!(viewer.cut_text().await.expect("a text"), round.as_bytes());
    }
    viewer.copy("from the viewer").await.expect("sent");
    let arrived = async {
        while text(&clipboard)
            .await
            .is_ok_and(|text| text != "from the viewer")
        {
            tokio::task::yield_now().await;
        }
        text(&clipboard).await
    };
    let arrived = tokio::time::timeout(PATIENCE, arrived).await;
    assert_eq!(
        arrived.expect("it arrives").expect("text"),
        "from the viewer"
    );
    // The old text is the viewer's then, and comes back all the same.
    let loan = clipboard.lend("secret".to_owned()).await.expect("a loan");
    loan.give_back().await.expect("given back");
    assert_eq!(text(&clipboard).await.expect("text"), "from the viewer");
}
