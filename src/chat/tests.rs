//! The handle: what is written and read again, and what nobody misses.

use std::{collections::HashSet, time::Duration};

use uuid::Uuid;

use super::*;

const A: Uuid = Uuid::from_u128(1);
const B: Uuid = Uuid::from_u128(2);

fn open(folder: &Path) -> Chats {
    Chats::open(folder.to_owned(), &Shutdown::new()).expect("a thread")
}

fn order(chat: Option<Uuid>) -> TokenOrder {
    TokenOrder {
        chat,
        scopes: Scopes::ADMIN,
        lifetime: Duration::from_mins(1),
        label: None,
    }
}

#[tokio::test]
async fn what_was_saved_is_there_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let chats = open(folder.path());
    assert_eq!(chats.arrive(B, &[A], HashSet::new), [A]);
    chats.worked_on(B, &[A], [&b"/x/./y"[..], b"relative"]);
    chats.note_repositories(B, &["/x".into()]);
    let (made, secret) = chats.issue(order(Some(B))).await.expect("room");
    chats.save().await;
    let again = open(folder.path());
    for chat in [A, B] {
        assert_eq!(again.paths(chat), [PathBuf::from("/x/y")]);
    }
    assert_eq!(again.repositories(B), [PathBuf::from("/x")]);
    let info = again.describe(B, Which::All).expect("known");
    assert_eq!(
        (info.parent, info.tokens, info.repositories),
        (Some(A), 1, 1)
    );
    assert!(matches!(again.find(Shown::Token(&secret)), Found::Live(pass) if pass.chat == Some(B)));
    again.revoke(made.id).await.expect("it is live");
    let last = open(folder.path());
    let over = last.find(Shown::Token(&secret));
    assert!(
        matches!(over, Found::Over(Over::TokenRevoked)),
        "written before the answer"
    );
}

#[tokio::test]
async fn a_token_that_cannot_be_written_is_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let chats = open(&folder.path().join("missing"));
    let refused = chats.issue(order(None)).await.expect_err("no folder");
    assert!(matches!(refused, TokenError::Save { .. }));
    assert!(chats.tokens().is_empty());
}

#[tokio::test]
async fn a_full_registry_asks_for_what_runs_and_only_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let chats = open(folder.path());
    for number in 0..MAX_CHATS as u128 {
        chats.arrive(Uuid::from_u128(100 + number), &[], || {
            panic!("there is room")
        });
    }
    let oldest = Uuid::from_u128(100);
    chats.arrive(oldest, &[], || panic!("it is known"));
    let (runs, bound) = (Uuid::from_u128(101), Uuid::from_u128(102));
    chats.issue(order(Some(bound))).await.expect("room");
    chats.arrive(A, &[], || HashSet::from([runs]));
    let known = |id: u128| chats.describe(Uuid::from_u128(id), Which::All).is_some();
    assert_eq!([100, 101, 102, 103].map(known), [true, true, true, false]);
    assert!(chats.describe(A, Which::All).is_some());
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_with_its_chat() {
    let folder = tempfile::tempdir().expect("a folder");
    let chats = open(folder.path());
    chats.arrive(A, &[], HashSet::new);
    let (made, secret) = chats.issue(order(None)).await.expect("room");
    let Found::Live(pass) = chats.find(Shown::Token(&secret)) else {
        panic!("it is live");
    };
    let stay = chats.stay(Some(A), Some(pass.ending)).expect("admitted");
    let other = chats.stay(Some(A), None).expect("admitted");
    chats.revoke(made.id).await.expect("it is live");
    assert_eq!(stay.over().await, Over::TokenRevoked);
    assert_eq!(chats.describe(A, Which::All).expect("known").connections, 2);
    drop(stay);
    let mut deletion = chats.begin_delete(A, false).await.expect("known");
    assert_eq!(
        chats.stay(Some(A), None).expect_err("refused"),
        ChatError::Deleting
    );
    chats.cut_off(&mut deletion).await;
    assert_eq!(other.over().await, Over::ChatDeleted);
    chats.finish_delete(&deletion);
    chats.arrive(A, &[], HashSet::new);
    let later = chats.stay(Some(A), None).expect("a new chat");
    drop(other);
    assert_eq!(chats.describe(A, Which::All).expect("known").connections, 1);
    drop(later);
}

#[tokio::test]
async fn whoever_subscribes_first_and_then_reads_misses_no_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let chats = open(folder.path());
    let adder = chats.clone();
    let adding = tokio::task::spawn_blocking(move || {
        for number in 0..4000 {
            adder.worked_on(B, &[A], [format!("/{number}").as_bytes()]);
        }
    });
    let mut signals = chats.subscribe(A);
    let mut known = chats.paths(A).len();
    while known < 4000 {
        signals.next().await;
        let now = chats.paths(A).len();
        assert!(now >= known);
        known = now;
    }
    adding.await.expect("no panic");
    assert!(
        tokio::time::timeout(Duration::ZERO, chats.subscribe(A).next())
            .await
            .is_err()
    );
}
