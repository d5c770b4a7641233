//! What the gate relies on: the X server takes keys of viewers before a request that is sent later and delayed.

use deskd::desktop::x11;
use tokio::net::UnixStream;
use x11rb::{
    connection::Connection,
    protocol::{
        xproto::{ConnectionExt as _, KEY_PRESS_EVENT, KeyButMask},
        xtest::ConnectionExt as _,
    },
};

use super::address;
use crate::support::{rfb_client::RfbClient, xserver::XServer};

const SHIFT: u32 = 0xffe1;

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_request_of_xtest_is_taken_after_the_keys_of_viewers_before_it() {
    let server = XServer::start(640, 480);
    let stream = UnixStream::connect(server.rfb()).await.expect("the socket");
    let mut viewer = RfbClient::connect(stream).await.expect("a handshake");
    let (connection, screen) = x11::connect(&address(&server)).expect("a connection");
    let root = connection.setup().roots[screen].root;
    for round in 0..2000 {
        let down = round % 2 == 0;
        // As after a part of a text: the server is at work when the key comes. Without the delay one round in four fails.
        for _ in 0..round % 50 {
            connection.no_operation().expect("sent");
        }
        connection.flush().expect("sent");
        viewer.key(SHIFT, down).await.expect("sent");
        let refused = connection.xtest_fake_input(KEY_PRESS_EVENT, 0, 1, x11rb::NONE, 0, 0, 0);
        refused.expect("sent").check().expect_err("no such key");
        let pointer = connection.query_pointer(root).expect("sent").reply();
        let mask = pointer.expect("a reply").mask;
        assert_eq!(mask.contains(KeyButMask::SHIFT), down, "in round {round}");
    }
}
