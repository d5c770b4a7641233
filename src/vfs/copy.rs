//! Copying an entry with all that is in it, to a name that nobody has: what is at work on it shows only when it is whole.

use std::{os::fd::BorrowedFd, sync::Arc};

use ignore::{Match, overrides::Override};
use sha2::{Digest, Sha256};

use super::{
    change::{ChangeError, Tally, enter},
    entry::{Attributes, EntryKind, Identity},
    fault::{Fault, Kind, Result},
    ignore::{Rules, Verdict, as_path},
    path::{ClientPath, Name, TreePath},
    pool::Wanted,
    provider::{CHUNK, Capabilities, Changes, Commit, Condition, Creation, Directory, Draft},
    remove::remove_tree,
    tag::{ContentHash, Hasher, hash_file},
    view::{Last, Opened, Place, View},
};

/// Bytes that the machine copies in one call, between two looks at whether anybody still waits.
const IN_KERNEL: u64 = 64 << 20;

/// How it is copied.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of a request")]
pub struct Plan {
    /// What links lead to is copied, not the links.
    pub follow: bool,
    /// The copy is read again and compared.
    pub verify: bool,
    /// What cannot be copied is a failure, not passed over.
    pub strict: bool,
    /// What the rules of gitignore leave out is left out.
    pub ignore: bool,
    /// Globs by which files are chosen.
    pub selection: Override,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            follow: false,
            verify: false,
            strict: false,
            ignore: false,
            selection: Override::empty(),
        }
    }
}

/// What was copied.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of an answer")]
pub struct Copied {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// FIFOs, sockets and devices that were passed over.
    pub skipped: u64,
    owner: bool,
    modes: bool,
    times: bool,
    extended: bool,
    /// Over the path, kind and version of every entry, in order.
    seen: Sha256,
}

impl Copied {
    /// What the destination could not hold.
    pub fn lost(&self) -> Vec<&'static str> {
        let all = [
            (self.owner, "owner"),
            (self.modes, "modes"),
            (self.times, "times"),
            (self.extended, "xattrs"),
        ];
        all.into_iter()
            .filter_map(|(lost, word)| lost.then_some(word))
            .collect()
    }

    /// A hash over what was seen of the source: [`fingerprint`] gives the same as long as nothing changed.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.seen.clone().finalize().into()
    }

    fn saw(&mut self, path: &[u8], found: &Attributes) {
        see(&mut self.seen, path, found);
    }
}

fn see(hash: &mut Sha256, path: &[u8], found: &Attributes) {
    hash.update(path);
    hash.update([0]);
    hash.update(found.kind.word());
    match found.kind {
        EntryKind::File => hash.update(found.version.tag()),
        EntryKind::Symlink => hash.update(found.target.as_deref().unwrap_or_default()),
        _ => {}
    }
    hash.update([0]);
}

/// A directory that is being copied.
struct Frame {
    source: Opened,
    rules: Rules,
    left: Vec<Name>,
    /// Below the top, for the fingerprint.
    relative: Vec<u8>,
    parent: Arc<dyn Directory>,
    name: Name,
    made: Arc<dyn Directory>,
    attributes: Attributes,
    put: u64,
}

struct Copy<'a> {
    view: &'a View,
    plan: &'a Plan,
    wanted: &'a Wanted,
    /// The directory that the copy goes to. By another mount it may lie in what is copied.
    into: Identity,
    to: Capabilities,
    as_root: bool,
    /// For what the machine does not copy by itself.
    buffer: Vec<u8>,
    done: Copied,
}

/// Copies what is at a place to a free name of a directory. On failure nothing stays there.
pub fn copy(
    view: &View,
    source: &Place,
    (directory, name): (&Arc<dyn Directory>, &Name),
    to: Capabilities,
    plan: &Plan,
    wanted: &Wanted,
) -> Result<Copied, ChangeError> {
    let mut work = Copy {
        view,
        plan,
        wanted,
        into: directory.attributes()?.identity,
        to,
        as_root: rustix::process::geteuid().is_root(),
        buffer: Vec::new(),
        done: Copied::default(),
    };
    match work.top(source, directory, name) {
        Ok(()) => Ok(work.done),
        Err(error) => {
            discard(directory, name);
            Err(error)
        }
    }
}

/// Removes what is at a name of ours, as far as it goes.
pub fn discard(directory: &Arc<dyn Directory>, name: &Name) {
    let path = TreePath::new(vec![name.clone()]);
    let removed = match directory.lookup(name) {
        Err(_) => return,
        Ok(found) if found.kind == EntryKind::Dir => {
            let mut tally = Tally::new("removed");
            remove_tree(directory, name, &path, &mut tally, &Wanted::default())
                .map_err(ChangeError::from)
                .and_then(|()| tally.end().map(drop))
        }
        Ok(_) => directory.remove(name, false).map_err(ChangeError::from),
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "could not remove what was staged");
    }
}

impl Copy<'_> {
    fn top(
        &mut self,
        source: &Place,
        directory: &Arc<dyn Directory>,
        name: &Name,
    ) -> Result<(), ChangeError> {
        let found = source.require("copy")?.clone();
        self.done.saw(b"", &found);
        match found.kind {
            EntryKind::Dir | EntryKind::Submodule => {
                self.refuse_itself(source, source.path.names().len(), &found)?;
                let opened = source.open_directory("copy")?;
                let rules = if self.plan.ignore {
                    Rules::at(self.view, &opened)
                } else {
                    Rules::none()
                };
                let frame = self.open(opened, rules, found, (directory, name), Vec::new())?;
                self.tree(frame)
            }
            EntryKind::File | EntryKind::Symlink => self.leaf(source, &found, directory, name),
            _ => Err(source.fault(Kind::NotRegular, "copy").into()),
        }
    }

    fn open(
        &self,
        source: Opened,
        rules: Rules,
        attributes: Attributes,
        (parent, name): (&Arc<dyn Directory>, &Name),
        relative: Vec<u8>,
    ) -> Result<Frame> {
        let to = |fault: Fault| fault.at(source.path.to_bytes());
        parent.make_dir(name, Some(0o700)).map_err(to)?;
        let made = enter(&**parent, name, &source.path)?;
        let mut left: Vec<Name> = Vec::new();
        loop {
            let listing = self.view.list(&source, left.last(), usize::MAX)?;
            left.extend(listing.entries.into_iter().map(|(name, _)| name));
            if let Some(fault) = listing.cut {
                return Err(to(fault));
            }
            if !listing.more || left.is_empty() {
                break;
            }
        }
        left.sort_by(|a, b| b.cmp(a));
        Ok(Frame {
            source,
            rules,
            left,
            relative,
            parent: Arc::clone(parent),
            name: name.clone(),
            made,
            attributes,
            put: 0,
        })
    }

    fn tree(&mut self, top: Frame) -> Result<(), ChangeError> {
        let mut frames = vec![top];
        while let Some(frame) = frames.last_mut() {
            self.wanted.check()?;
            let Some(name) = frame.left.pop() else {
                let frame = frames.pop().expect("it was there");
                let kept = self.close(&frame, frames.is_empty())?;
                if let Some(above) = frames.last_mut() {
                    above.put += u64::from(kept);
                }
                continue;
            };
            let mut place = self.view.child(&frame.source, &name)?;
            let Some(found) = place.found.clone() else {
                continue; // gone since it was listed
            };
            let relative = [&frame.relative[..], b"/", name.as_bytes()].concat();
            self.done.saw(&relative, &found);
            if !self.is_wanted(frame, &place.path, found.kind.is_directory()) {
                continue;
            }
            if self.plan.follow && found.kind == EntryKind::Symlink {
                place = self
                    .view
                    .resolve(&ClientPath::of(&place.path), Last::Follow)?;
            }
            let found = place.require("copy")?.clone();
            if found.kind.is_directory() {
                let opened = place.open_directory("copy")?;
                refuse_ring(&frames, &found, &place)?;
                self.refuse_itself(&place, frames[0].source.path.names().len(), &found)?;
                let frame = frames.last().expect("it was there");
                let rules = if self.plan.ignore {
                    frame.rules.enter(self.view, &opened)
                } else {
                    Rules::none()
                };
                let inner = self.open(opened, rules, found, (&frame.made, &name), relative)?;
                frames.push(inner);
            } else if matches!(found.kind, EntryKind::File | EntryKind::Symlink) {
                let made = Arc::clone(&frame.made);
                frame.put += 1;
                self.leaf(&place, &found, &made, &name)?;
            } else if self.plan.strict {
                return Err(ChangeError::NotMovable { path: place.path });
            } else {
                self.done.skipped += 1;
            }
        }
        Ok(())
    }

    /// Fails at the directory that the copy goes to; the top of what is copied has so many names.
    fn refuse_itself(
        &self,
        place: &Place,
        top: usize,
        found: &Attributes,
    ) -> Result<(), ChangeError> {
        if self.plan.follow || found.identity != self.into {
            return Ok(());
        }
        let from = TreePath::new(place.path.names()[..top].to_vec());
        Err(ChangeError::IntoItself { from })
    }

    fn is_wanted(&self, frame: &Frame, path: &TreePath, directory: bool) -> bool {
        if !self.plan.ignore && self.plan.selection.is_empty() {
            return true;
        }
        let path = as_path(path);
        match self.plan.selection.matched(&path, directory) {
            Match::Ignore(_) => return false,
            Match::Whitelist(_) => return true,
            Match::None => {}
        }
        !self.plan.ignore || frame.rules.verdict(&path, directory) != Verdict::Ignored
    }

    /// What a directory was given at first lets it be filled; what it is to have comes last. One that the globs left empty goes.
    fn close(&mut self, frame: &Frame, top: bool) -> Result<bool> {
        let at = |fault: Fault| fault.at(frame.source.path.to_bytes());
        if self.plan.selection.num_whitelists() > 0 && frame.put == 0 && !top {
            frame.parent.remove(&frame.name, true).map_err(at)?;
            return Ok(false);
        }
        let extended = frame.source.directory.extended().map_err(at)?;
        self.done.extended |= !frame.made.set_extended(&extended).map_err(at)?;
        let changes = self.changes(&frame.attributes, true);
        if changes != Changes::default() {
            let set = frame.parent.set_attributes(Some(&frame.name), &changes);
            set.map_err(at)?;
        }
        Ok(true)
    }

    fn leaf(
        &mut self,
        source: &Place,
        found: &Attributes,
        directory: &Arc<dyn Directory>,
        name: &Name,
    ) -> Result<(), ChangeError> {
        let at = |fault: Fault| fault.at(source.path.to_bytes());
        if found.kind == EntryKind::Symlink {
            if found.magic {
                return Err(source.fault(Kind::MagicLink, "copy").into());
            }
            let target = found.target.as_deref().unwrap_or_default();
            directory.make_link(name, target).map_err(at)?;
            return Ok(());
        }
        let hash = self.file(source, found, directory, name).map_err(at)?;
        if self.plan.verify {
            let copy = directory.open(name).map_err(at)?;
            if hash != Some(hash_file(&*copy, self.wanted).map_err(at)?) {
                return Err(source.fault(Kind::Changed, "copy").into());
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        source: &Place,
        found: &Attributes,
        directory: &Arc<dyn Directory>,
        name: &Name,
    ) -> Result<Option<ContentHash>> {
        let file = source.directory.open(source.require_name("copy")?)?;
        let creation = Creation {
            mode: Some(found.mode & 0o777),
            size: Some(found.size),
            unseen: true,
            ..Creation::default()
        };
        let mut draft = directory.create(name, &creation)?;
        let mut hasher = self.plan.verify.then(Hasher::default);
        let (mut offset, mut ended) = match file.descriptor() {
            Some(source) if !self.plan.verify && !file.is_endless() => {
                self.in_kernel(source, &mut *draft)?
            }
            _ => (0, false),
        };
        self.buffer.resize(CHUNK, 0);
        while !ended {
            self.wanted.check()?;
            let count = file.read_at(&mut self.buffer, offset)?;
            let bytes = &self.buffer[..count];
            draft.write(bytes)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            offset += count as u64;
            ended = count == 0;
        }
        if offset < found.size && !file.is_endless() {
            return Err(Fault::new(Kind::Changed, "copy", b""));
        }
        self.done.extended |= !draft.set_extended(&file.extended()?)?;
        let changes = self.changes(found, false);
        let set = draft.set_attributes(&changes)?;
        draft.commit(&Commit {
            condition: Condition::Missing,
            ..Commit::default()
        })?;
        if !set && changes != Changes::default() {
            directory.set_attributes(Some(name), &changes)?;
        }
        self.done.files += 1;
        self.done.bytes += offset;
        Ok(hasher.map(Hasher::finish))
    }

    /// As much as the machine copies by itself, and whether that was all; what is left is for us.
    fn in_kernel(&self, source: BorrowedFd<'_>, draft: &mut dyn Draft) -> Result<(u64, bool)> {
        let mut offset = 0;
        loop {
            self.wanted.check()?;
            match draft.take_from(source, offset, IN_KERNEL)? {
                Some(0) => return Ok((offset, offset > 0)),
                Some(count) => offset += count,
                None => return Ok((offset, false)),
            }
        }
    }

    /// Owner, permissions and times of the copy, as far as the destination holds them.
    fn changes(&mut self, found: &Attributes, mode: bool) -> Changes {
        let ours = rustix::process::geteuid().as_raw() == found.uid;
        self.done.owner |= !ours && !self.to.owner;
        self.done.modes |= !self.to.modes;
        self.done.times |= !self.to.set_times;
        let owner = !ours && self.to.owner && self.as_root;
        Changes {
            mode: (mode && self.to.modes).then_some(found.mode & 0o1777),
            mtime: self.to.set_times.then_some(found.mtime),
            owner: owner.then_some((found.uid, found.gid)),
        }
    }
}

/// Followed links may lead round in a ring.
fn refuse_ring(frames: &[Frame], found: &Attributes, place: &Place) -> Result<()> {
    let inside = |identity: Identity| {
        let mut frames = frames.iter();
        frames.any(|frame| frame.attributes.identity == identity)
    };
    if found.links > 0 && inside(found.identity) && found.identity.device != u64::MAX {
        return Err(place.fault(Kind::Loop, "copy"));
    }
    Ok(())
}

/// What [`Copied::fingerprint`] would be of what is at a name now.
pub fn fingerprint(
    directory: &Arc<dyn Directory>,
    name: &Name,
    wanted: &Wanted,
) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let top = directory.lookup(name)?;
    see(&mut hash, b"", &top);
    if !top.kind.is_directory() {
        return Ok(hash.finalize().into());
    }
    let at = TreePath::new(vec![name.clone()]);
    let open = |parent: &Arc<dyn Directory>, name: &Name| -> Result<_> {
        let opened = enter(&**parent, name, &at)?;
        let mut names = super::change::names_of(&*opened, &at)?;
        names.reverse();
        Ok((opened, names))
    };
    let (opened, left) = open(directory, name)?;
    let mut frames = vec![(opened, left, Vec::new())];
    while let Some((opened, left, relative)) = frames.last_mut() {
        wanted.check()?;
        let Some((name, _)) = left.pop() else {
            frames.pop();
            continue;
        };
        let found = opened.lookup(&name)?;
        let relative = [&relative[..], b"/", name.as_bytes()].concat();
        see(&mut hash, &relative, &found);
        if found.kind.is_directory() {
            let (inner, left) = open(opened, &name)?;
            frames.push((inner, left, relative));
        }
    }
    Ok(hash.finalize().into())
}
