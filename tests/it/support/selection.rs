//! A program of the test's own that owns a selection, or asks for one, as badly as the test wants.

use deskd::desktop::x11::{self, Address};
use x11rb::{
    connection::Connection,
    protocol::{
        Event,
        xfixes::{ConnectionExt as _, SelectionEventMask},
        xproto::{
            Atom, AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, Property,
            SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent, Window,
            WindowClass,
        },
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

/// Its connection, and a window for properties. Dropping it is its death.
#[derive(Debug)]
pub struct Peer {
    pub connection: RustConnection,
    pub window: Window,
}

impl Peer {
    pub fn open(address: &Address) -> Self {
        let (connection, screen) = x11::connect(address).expect("a connection");
        let root = connection.setup().roots[screen].root;
        let window = connection.generate_id().expect("an id");
        let values = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let class = WindowClass::INPUT_ONLY;
        connection
            .create_window(0, window, root, 0, 0, 1, 1, 0, class, 0, &values)
            .expect("sent");
        connection.sync().expect("a round trip");
        Self { connection, window }
    }

    pub fn atom(&self, name: &str) -> Atom {
        let cookie = self.connection.intern_atom(false, name.as_bytes());
        cookie.expect("sent").reply().expect("an atom").atom
    }

    /// Takes a selection.
    pub fn own(&self, selection: &str) {
        let (window, selection) = (self.window, self.atom(selection));
        self.connection
            .set_selection_owner(window, selection, x11rb::CURRENT_TIME)
            .expect("sent");
        self.connection.sync().expect("a round trip");
    }

    /// The window that owns a selection.
    pub fn owner_of(&self, selection: &str) -> Window {
        let cookie = self.connection.get_selection_owner(self.atom(selection));
        cookie.expect("sent").reply().expect("an owner").owner
    }

    /// Wants to hear when a selection gets another owner.
    pub fn watch(&self, selection: &str) {
        let news = SelectionEventMask::SET_SELECTION_OWNER;
        let connection = &self.connection;
        connection
            .xfixes_query_version(5, 0)
            .expect("sent")
            .reply()
            .expect("XFixes");
        connection
            .xfixes_select_selection_input(self.window, self.atom(selection), news)
            .expect("sent");
        connection.sync().expect("a round trip");
    }

    /// Waits for that.
    pub fn wait_for_owner(&self) {
        loop {
            if let Event::XfixesSelectionNotify(_) = self.connection.wait_for_event().expect("one")
            {
                return;
            }
        }
    }

    /// The next request of a program for what it owns. The server asks as well, for its viewers, by a window
    /// of no client.
    pub fn request(&self) -> SelectionRequestEvent {
        let mask = self.connection.setup().resource_id_mask;
        loop {
            if let Event::SelectionRequest(event) = self.connection.wait_for_event().expect("one")
                && event.requestor & !mask != 0
            {
                return event;
            }
        }
    }

    /// Puts 8-bit data where a request wants it, and says so.
    pub fn answer(&self, request: &SelectionRequestEvent, type_: Atom, bytes: &[u8]) {
        self.connection
            .change_property8(
                PropMode::REPLACE,
                request.requestor,
                request.property,
                type_,
                bytes,
            )
            .expect("sent");
        self.notify(request, request.property);
    }

    /// Answers a request for `TARGETS` with these.
    pub fn answer_targets(&self, request: &SelectionRequestEvent, names: &[&str]) {
        let atoms: Vec<Atom> = names.iter().map(|name| self.atom(name)).collect();
        let kind = AtomEnum::ATOM;
        self.connection
            .change_property32(
                PropMode::REPLACE,
                request.requestor,
                request.property,
                kind,
                &atoms,
            )
            .expect("sent");
        self.notify(request, request.property);
    }

    /// Says where the answer to a request is; `NONE` refuses.
    pub fn notify(&self, request: &SelectionRequestEvent, property: Atom) {
        let event = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: request.requestor,
            selection: request.selection,
            target: request.target,
            property,
        };
        self.connection
            .send_event(false, request.requestor, EventMask::NO_EVENT, event)
            .expect("sent");
        self.connection.sync().expect("a round trip");
    }

    /// Asks for a target into the property `TEST`, and waits for the answer; the property that it is in.
    pub fn convert(&self, selection: &str, target: &str) -> Atom {
        let (selection, target, property) =
            (self.atom(selection), self.atom(target), self.atom("TEST"));
        self.connection
            .convert_selection(
                self.window,
                selection,
                target,
                property,
                x11rb::CURRENT_TIME,
            )
            .expect("sent");
        self.connection.flush().expect("flushed");
        loop {
            if let Event::SelectionNotify(event) = self.connection.wait_for_event().expect("one") {
                return event.property;
            }
        }
    }

    /// Type and bytes of a property, which is then deleted.
    pub fn take(&self, property: Atom) -> (Atom, Vec<u8>) {
        let any = AtomEnum::ANY;
        let cookie =
            self.connection
                .get_property(true, self.window, property, any, 0, u32::MAX / 4);
        let reply = cookie.expect("sent").reply().expect("a property");
        (reply.type_, reply.value)
    }

    /// Waits until the property has a new value.
    pub fn wait_for(&self, property: Atom) {
        loop {
            if let Event::PropertyNotify(event) = self.connection.wait_for_event().expect("one")
                && event.atom == property
                && event.state == Property::NEW_VALUE
            {
                return;
            }
        }
    }
}
