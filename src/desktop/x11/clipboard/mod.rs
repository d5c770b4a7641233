//! The selections of X (ICCCM 2): reading what another program owns, and owning them.

mod deliveries;
mod offer;
mod owner;
mod reader;
mod requests;

pub(in crate::desktop) use owner::{Job, LoanId, Owned, serve};
pub(in crate::desktop) use reader::{kinds, read, snapshot};

use std::sync::Arc;

use x11rb::{
    atom_manager,
    connection::Connection,
    cookie::Cookie,
    errors::{ConnectionError, ReplyError, ReplyOrIdError},
    protocol::xproto::{
        Atom, AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, Window, WindowClass,
    },
    rust_connection::RustConnection,
};

use super::{Address, connect};
use crate::desktop::clipboard::{ClipboardError, Selection};

atom_manager! {
    /// Names that the protocol gives a meaning.
    Atoms: AtomsCookie {
        CLIPBOARD,
        TARGETS,
        TIMESTAMP,
        MULTIPLE,
        ATOM_PAIR,
        INCR,
        DESKD_SELECTION,
        DESKD_TIME,
    }
}

/// A connection with a window that nobody sees, on which selections are read or owned.
struct Seat {
    connection: RustConnection,
    window: Window,
    atoms: Atoms,
}

impl Seat {
    fn open(address: &Address) -> Result<Self, ClipboardError> {
        let unreachable = |error| ClipboardError::Unreachable(Arc::new(error));
        let (connection, screen) = connect(address).map_err(unreachable)?;
        let root = connection.setup().roots[screen].root;
        let atoms = Atoms::new(&connection).map_err(lost("naming atoms"))?;
        let window = connection.generate_id().map_err(no_id)?;
        let attributes = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let class = WindowClass::INPUT_ONLY;
        connection
            .create_window(0, window, root, -1, -1, 1, 1, 0, class, 0, &attributes)
            .map_err(lost("making a window"))?;
        let atoms = atoms.reply().map_err(refused("naming atoms"))?;
        Ok(Self {
            connection,
            window,
            atoms,
        })
    }

    fn atom_of(&self, selection: Selection) -> Atom {
        match selection {
            Selection::Clipboard => self.atoms.CLIPBOARD,
            Selection::Primary => AtomEnum::PRIMARY.into(),
        }
    }

    fn owner_of(&self, selection: Selection) -> Result<Window, ClipboardError> {
        let cookie = self.connection.get_selection_owner(self.atom_of(selection));
        Ok(answer("asking for the owner", cookie.map(Cookie::reply))?.owner)
    }

    /// Whether a window belongs to the server itself, as those of Xvnc's own clipboard do: the part of an id that names
    /// its client is then zero, or has a bit that no client's id has (X protocol, section 1, "resource-id-mask").
    fn is_servers(&self, window: Window) -> bool {
        self.client_of(window) == 0 || window >> 29 != 0
    }

    /// The part of an id that is the same in all ids of one client.
    fn client_of(&self, window: Window) -> u32 {
        window & !self.connection.setup().resource_id_mask
    }
}

fn lost(operation: &'static str) -> impl Fn(ConnectionError) -> ClipboardError {
    move |source| ClipboardError::ConnectionLost {
        operation,
        source: Arc::new(source),
    }
}

fn refused(operation: &'static str) -> impl Fn(ReplyError) -> ClipboardError {
    move |source| match source {
        ReplyError::ConnectionError(source) => lost(operation)(source),
        source @ ReplyError::X11Error(_) => ClipboardError::Refused {
            operation,
            source: Arc::new(source),
        },
    }
}

fn no_id(source: ReplyOrIdError) -> ClipboardError {
    ClipboardError::Refused {
        operation: "an id for a window",
        source: Arc::new(source),
    }
}

/// The answer to a request, or which way it failed.
fn answer<T>(
    operation: &'static str,
    answer: Result<Result<T, ReplyError>, ConnectionError>,
) -> Result<T, ClipboardError> {
    answer.map_err(lost(operation))?.map_err(refused(operation))
}
