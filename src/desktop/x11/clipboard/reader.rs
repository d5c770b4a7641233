//! Reads what another program owns (ICCCM 2.4): one conversation with the owner, on a connection of its own. Blocks.
//!
//! ```text
//! TARGETS? -> convert -> SelectionNotify -> the property: whole, or INCR -> piece … -> empty piece
//! ```

use std::time::{Duration, Instant};

use x11rb::{
    cookie::Cookie,
    protocol::{
        Event,
        xproto::{
            Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask,
            GetPropertyReply, Property, Window,
        },
    },
};

use super::{Seat, answer, lost};
use crate::desktop::{
    clipboard::{
        ClipboardError, Content, Item, Kind, MAX_BYTES, Selection,
        transfer::{Incoming, TooMuch},
    },
    x11::{Address, events::next_event},
};

/// How long an owner may take for an answer, and for each piece of a large one.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the whole conversation may take, however many pieces there are.
const LONGEST: Duration = Duration::from_secs(30);
/// Targets of an owner that are looked at.
const MAX_TARGETS: u32 = 128;
/// Kinds that a snapshot keeps.
const MAX_KEPT: usize = 16;

/// A conversation with one owner.
struct Reader {
    seat: Seat,
    selection: Selection,
    owner: Window,
    /// When the whole conversation ends.
    until: Instant,
}

/// A target that is on offer.
struct Target {
    atom: Atom,
    name: String,
}

/// What lay on a selection, and whose it was.
#[derive(Debug)]
pub(in crate::desktop) struct Snapshot {
    /// The owner's window; none when nobody owned it.
    pub(in crate::desktop) owner: Window,
    /// What the owner gave, if anything.
    pub(in crate::desktop) content: Option<Content>,
}

/// The first of the wanted kinds that the owner has.
pub(in crate::desktop) fn read(
    address: &Address,
    selection: Selection,
    wanted: &[Kind],
) -> Result<Item, ClipboardError> {
    let reader =
        Reader::open(address, selection, LONGEST)?.ok_or(ClipboardError::Empty(selection))?;
    let offered = reader.targets()?;
    for kind in wanted {
        let Some(target) = reader.target_for(kind, offered.as_deref())? else {
            continue;
        };
        if let Some(bytes) = reader.fetch(kind, &target, MAX_BYTES)? {
            let kind = kind.clone();
            return Ok(Item { kind, bytes });
        }
    }
    let offered = kinds_of(&offered.unwrap_or_default());
    if offered.is_empty() && reader.seat.owner_of(selection)? == x11rb::NONE {
        return Err(ClipboardError::Empty(selection));
    }
    Err(ClipboardError::NoSuchKind { selection, offered })
}

/// The kinds that the owner offers.
pub(in crate::desktop) fn kinds(
    address: &Address,
    selection: Selection,
) -> Result<Vec<Kind>, ClipboardError> {
    let reader =
        Reader::open(address, selection, LONGEST)?.ok_or(ClipboardError::Empty(selection))?;
    Ok(kinds_of(&reader.targets()?.unwrap_or_default()))
}

/// All kinds that the owner gives within the time, text, HTML and PNG first. An owner that does not answer has none.
pub(in crate::desktop) fn snapshot(
    address: &Address,
    selection: Selection,
    within: Duration,
) -> Result<Snapshot, ClipboardError> {
    let Some(reader) = Reader::open(address, selection, within)? else {
        return Ok(Snapshot {
            owner: x11rb::NONE,
            content: None,
        });
    };
    let mut content = Content::default();
    match reader.collect(&mut content) {
        // What came before the time was over is kept.
        Ok(())
        | Err(
            ClipboardError::OwnerSilent { .. }
            | ClipboardError::OwnerGone(_)
            | ClipboardError::TooLarge { .. },
        ) => {}
        Err(error) => return Err(error),
    }
    Ok(Snapshot {
        owner: reader.owner,
        content: Some(content).filter(|content| !content.items.is_empty()),
    })
}

fn kinds_of(targets: &[Target]) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for kind in targets
        .iter()
        .filter_map(|target| Kind::of_target(&target.name))
    {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.sort_by_key(|kind| match kind {
        Kind::Text => 0,
        Kind::Html => 1,
        Kind::Png => 2,
        Kind::Other(_) => 3,
    });
    kinds
}

impl Reader {
    /// `None` when nobody owns the selection.
    fn open(
        address: &Address,
        selection: Selection,
        longest: Duration,
    ) -> Result<Option<Self>, ClipboardError> {
        let seat = Seat::open(address)?;
        let owner = seat.owner_of(selection)?;
        if owner == x11rb::NONE {
            return Ok(None);
        }
        // Tells when the owner ends. One that just did is noticed by its silence.
        let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        let watched = seat.connection.change_window_attributes(owner, &mask);
        watched.map_err(lost("watching the owner"))?.ignore_error();
        Ok(Some(Self {
            seat,
            selection,
            owner,
            until: Instant::now() + longest,
        }))
    }

    fn collect(&self, content: &mut Content) -> Result<(), ClipboardError> {
        let Some(offered) = self.targets()? else {
            // An owner that cannot say what it has may still have text.
            if let Some(target) = self.target_for(&Kind::Text, None)? {
                self.keep(Kind::Text, &target, content)?;
            }
            return Ok(());
        };
        for kind in kinds_of(&offered).into_iter().take(MAX_KEPT) {
            if let Some(target) = self.target_for(&kind, Some(&offered))? {
                self.keep(kind, &target, content)?;
            }
        }
        Ok(())
    }

    fn keep(
        &self,
        kind: Kind,
        target: &Target,
        content: &mut Content,
    ) -> Result<(), ClipboardError> {
        let room = MAX_BYTES - content.size();
        match self.fetch(&kind, target, room) {
            Ok(Some(bytes)) if content.size() + bytes.len() <= MAX_BYTES => {
                content.items.push(Item { kind, bytes });
            }
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What the owner offers; `None` when it cannot say.
    fn targets(&self) -> Result<Option<Vec<Target>>, ClipboardError> {
        let Some(reply) = self.convert(self.seat.atoms.TARGETS)? else {
            return Ok(None);
        };
        let Some(atoms) = reply.value32() else {
            return Ok(None);
        };
        let atoms: Vec<Atom> = atoms.take(MAX_TARGETS as usize).collect();
        let connection = &self.seat.connection;
        let mut cookies = Vec::new();
        for atom in &atoms {
            cookies.push(
                connection
                    .get_atom_name(*atom)
                    .map_err(lost("naming targets"))?,
            );
        }
        let mut targets = Vec::new();
        for (atom, cookie) in atoms.into_iter().zip(cookies) {
            // An atom that does not exist, or a name that is not ASCII, is no target that anybody asks for.
            if let Ok(reply) = cookie.reply()
                && let Ok(name) = String::from_utf8(reply.name)
            {
                targets.push(Target { atom, name });
            }
        }
        Ok(Some(targets))
    }

    /// The best target on offer for a kind. Where the owner does not say what it has, text is tried all the same.
    fn target_for(
        &self,
        kind: &Kind,
        offered: Option<&[Target]>,
    ) -> Result<Option<Target>, ClipboardError> {
        let find = |name: &str| {
            let mut all = offered.unwrap_or_default().iter();
            all.find(|target| target.name == name)
        };
        let found = match kind {
            Kind::Other(name) => find(name),
            Kind::Text | Kind::Html | Kind::Png => {
                kind.targets().iter().find_map(|name| find(name))
            }
        };
        if let Some(Target { atom, name }) = found {
            let (atom, name) = (*atom, name.clone());
            return Ok(Some(Target { atom, name }));
        }
        if offered.is_some() || *kind != Kind::Text {
            return Ok(None);
        }
        let name = kind.targets()[0];
        let cookie = self.seat.connection.intern_atom(false, name.as_bytes());
        let atom = answer("naming targets", cookie.map(Cookie::reply))?.atom;
        let name = name.to_owned();
        Ok(Some(Target { atom, name }))
    }

    /// What the owner gives for a target; `None` when it gives nothing after all, or no bytes.
    fn fetch(
        &self,
        kind: &Kind,
        target: &Target,
        limit: usize,
    ) -> Result<Option<bytes::Bytes>, ClipboardError> {
        let Some(reply) = self.convert(target.atom)? else {
            return Ok(None);
        };
        let (type_, bytes) = if reply.type_ == self.seat.atoms.INCR {
            let announced = reply.value32().and_then(|mut sizes| sizes.next());
            self.pieces(announced.unwrap_or(0), limit)?
        } else if reply.format != 8 && !reply.value.is_empty() {
            // Ids and numbers mean nothing to anybody but their owner.
            return Ok(None);
        } else if reply.bytes_after > 0 || reply.value.len() > limit {
            return Err(too_much(TooMuch));
        } else {
            (reply.type_, reply.value)
        };
        let latin1 = type_ == u32::from(AtomEnum::STRING);
        Ok(Some(kind.decode(bytes, latin1)))
    }

    /// Asks the owner for a target, and takes the property that it answers with; `None` when it refuses.
    fn convert(&self, target: Atom) -> Result<Option<GetPropertyReply>, ClipboardError> {
        let Seat {
            connection,
            window,
            atoms,
        } = &self.seat;
        let (selection, property) = (self.seat.atom_of(self.selection), atoms.DESKD_SELECTION);
        let operation = "asking the owner";
        connection
            .delete_property(*window, property)
            .map_err(lost(operation))?;
        connection
            .convert_selection(*window, selection, target, property, x11rb::CURRENT_TIME)
            .map_err(lost(operation))?;
        let patience = Instant::now() + PATIENCE;
        loop {
            if let Event::SelectionNotify(event) = self.next(patience)?
                && (event.requestor, event.selection, event.target) == (*window, selection, target)
            {
                if event.property == x11rb::NONE {
                    return Ok(None);
                }
                return self.take_property().map(Some);
            }
        }
    }

    /// Takes a large content piece by piece: each is there when the property gets a new value.
    fn pieces(&self, announced: u32, limit: usize) -> Result<(Atom, Vec<u8>), ClipboardError> {
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        let mut incoming = Incoming::announced(announced, limit).map_err(too_much)?;
        loop {
            let patience = Instant::now() + PATIENCE;
            loop {
                if let Event::PropertyNotify(event) = self.next(patience)?
                    && event.atom == self.seat.atoms.DESKD_SELECTION
                    && event.state == Property::NEW_VALUE
                {
                    break;
                }
            }
            let piece = self.take_property()?;
            // Another report of a value that was taken already.
            if piece.type_ == x11rb::NONE {
                continue;
            }
            if piece.bytes_after > 0 {
                return Err(too_much(TooMuch));
            }
            if let Some(whole) = incoming.add(&piece.value).map_err(too_much)? {
                return Ok((piece.type_, whole));
            }
        }
    }

    /// Reads the property and deletes it, which tells the owner to go on.
    fn take_property(&self) -> Result<GetPropertyReply, ClipboardError> {
        let words = u32::try_from(MAX_BYTES / 4 + 1).expect("a few megabytes");
        let Seat {
            connection,
            window,
            atoms,
        } = &self.seat;
        let property = atoms.DESKD_SELECTION;
        let cookie = connection.get_property(true, *window, property, AtomEnum::ANY, 0, words);
        answer("reading what the owner gave", cookie.map(Cookie::reply))
    }

    /// The next event, which must come before `patience` and before the conversation's end.
    fn next(&self, patience: Instant) -> Result<Event, ClipboardError> {
        let selection = self.selection;
        let until = patience.min(self.until);
        let event =
            next_event(&self.seat.connection, until).map_err(lost("waiting for the owner"))?;
        match event {
            Some(Event::DestroyNotify(event)) if event.window == self.owner => {
                Err(ClipboardError::OwnerGone(selection))
            }
            Some(event) => Ok(event),
            None => Err(ClipboardError::OwnerSilent {
                selection,
                waited: PATIENCE,
            }),
        }
    }
}

fn too_much(_: TooMuch) -> ClipboardError {
    ClipboardError::TooLarge { limit: MAX_BYTES }
}
