//! Writing one file from a stream of bytes.
//!
//! ```text
//!   admit            begin              write ... write     commit
//!   path, kind, ──▶  missing parents, ──▶ draft or spool ──▶ lock, demands, made visible in one step
//!   demands          draft                                   append: lock, demands, copied to the end
//! ```
//!
//! Nothing shows before the commit, and no lock is held while bytes come: a client may be as slow as it likes. What is dropped
//! before its commit leaves nothing behind, directories that were made for it included.

use std::sync::Arc;

use super::{
    Vfs,
    entry::Attributes,
    fault::{Fault, Kind, Result},
    locks::{Key, Locked},
    path::{ClientPath, Name, TreePath},
    pool::Wanted,
    provider::{Changes, Commit, Committed, Condition, Creation, Directory, Draft, Previous},
    read::{open_at, require_regular},
    spool::Spool,
    tag::{ContentHash, Demands, Hasher, hash_file},
    view::{Last, Place, View},
};

/// Permissions of the directories that are made for a file; the umask takes from them.
const PARENT_MODE: u32 = 0o755;

/// How often something that comes or goes in between is looked at again.
const TRIES: usize = 8;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// What must hold, before and after the bytes have come.
    pub demands: Demands,
    /// What the bytes must be.
    pub digest: Option<ContentHash>,
    /// Missing directories on the way are an error.
    pub no_parents: bool,
    /// Permissions of the file.
    pub mode: Option<u32>,
    /// To the end of what is there.
    pub append: bool,
    /// On disk before it is done.
    pub sync: bool,
    /// How many bytes will come, when it is known.
    pub size: Option<u64>,
}

/// A file that was not written; what was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Somebody else works on it.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// Something else is there than was demanded.
    #[error("{path}: what is there is not what was demanded")]
    Unmet {
        /// The file.
        path: TreePath,
        /// The tag of what is there, without quotes; none when nothing is.
        tag: Option<String>,
    },
    /// Other bytes came than were announced.
    #[error("{path}: the bytes that came are not those that were announced")]
    Digest {
        /// The file.
        path: TreePath,
        /// What came.
        came: ContentHash,
    },
}

/// A file that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its path, without links.
    pub path: TreePath,
    /// What it is now.
    pub attributes: Attributes,
    /// Whether nothing was there before.
    pub created: bool,
    /// Whether it was one step.
    pub atomic: bool,
}

/// A write that may begin: nothing was done yet.
#[derive(Debug)]
pub struct Admitted {
    vfs: Vfs,
    view: View,
    path: ClientPath,
    request: Request,
    place: Place,
}

/// What is at a place, as far as demands ask.
fn look(
    place: &Place,
    demands: &Demands,
    wanted: &Wanted,
) -> Result<(Option<Attributes>, Option<ContentHash>)> {
    for _ in 0..TRIES {
        if !demands.need_content() || place.found.is_none() {
            return Ok((place.found.clone(), None));
        }
        let source = open_at(place)?;
        match hash_file(&*source.file, wanted) {
            Ok(hash) => return Ok((Some(source.attributes), Some(hash))),
            Err(fault) if fault.kind() == Kind::Changed => {}
            Err(fault) => return Err(fault.at(place.path.to_bytes())),
        }
    }
    Err(place.fault(Kind::Changed, "hash"))
}

/// Fails unless the demands hold; gives what was there.
pub(super) fn demand(
    place: &Place,
    demands: &Demands,
    wanted: &Wanted,
) -> Result<Option<Attributes>, WriteError> {
    let (found, hash) = look(place, demands, wanted)?;
    if demands.hold(found.as_ref(), hash.as_ref()) {
        return Ok(found);
    }
    Err(unmet(place, found.as_ref()))
}

fn unmet(place: &Place, found: Option<&Attributes>) -> WriteError {
    WriteError::Unmet {
        path: place.path.clone(),
        tag: found.map(|found| found.version.tag()),
    }
}

/// Fails unless a file can be written there.
fn check(place: &Place, no_parents: bool) -> Result<()> {
    if place.found.is_some() {
        require_regular(place, "write")?;
    } else if no_parents && !place.missing.is_empty() {
        return Err(place.fault(Kind::NotFound, "write"));
    }
    place.require_writable("write")?;
    place.require_name("write").map(drop)
}

impl Admitted {
    /// Makes the checks that need no byte of the content.
    pub async fn new(
        vfs: &Vfs,
        view: &View,
        path: &ClientPath,
        request: Request,
    ) -> Result<Self, WriteError> {
        let (walked, asked) = (path.clone(), request.clone());
        let checked = vfs.run(view, path, move |view, wanted| {
            let place = view.resolve(&walked, Last::Follow)?;
            check(&place, asked.no_parents)?;
            Ok(demand(&place, &asked.demands, wanted).map(|_| place))
        });
        let place = checked.await??;
        Ok(Self {
            vfs: vfs.clone(),
            view: view.clone(),
            path: path.clone(),
            request,
            place,
        })
    }

    /// Makes missing directories and begins to write. Dropping what it gives undoes both.
    pub async fn begin(self) -> Result<Writing, WriteError> {
        let Self {
            vfs,
            view,
            path,
            request,
            place,
        } = self;
        let creation = Creation {
            mode: request.mode,
            size: request.size,
            ..Creation::default()
        };
        let (append, no_parents) = (request.append, request.no_parents);
        let mount = Arc::clone(&place.mount);
        let begun = vfs.run_in(&mount, move |_| {
            let (place, made) = with_parents(&view, &path, place, no_parents)?;
            let directory = place.directory.attributes()?.identity;
            let name = place.require_name("write")?.clone();
            let key = Key { directory, name };
            let sink = if append {
                Sink::Spool(Spool::default())
            } else {
                let draft = place.directory.create(&key.name, &creation);
                Sink::Draft(draft.map_err(|fault| fault.at(place.path.to_bytes()))?)
            };
            let hasher = Hasher::default();
            Ok((place, key, Work { sink, hasher, made }))
        });
        let (place, key, work) = begun.await?;
        Ok(Writing {
            vfs,
            request,
            place,
            key,
            work: Slot(Some(work)),
        })
    }
}

/// Directories that were made, outermost first. Dropping it removes those that are still empty.
#[derive(Debug, Default)]
pub(super) struct Made(Vec<(Arc<dyn Directory>, Name)>);

impl Made {
    /// They stay.
    pub(super) fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        while let Some((directory, name)) = self.0.pop() {
            if directory.remove(&name, true).is_err() {
                return;
            }
        }
    }
}

/// The place with its parent there: what is missing on the way is made. Somebody else may do the same, or undo it.
pub(super) fn with_parents(
    view: &View,
    path: &ClientPath,
    mut place: Place,
    no_parents: bool,
) -> Result<(Place, Made)> {
    for _ in 0..TRIES {
        match make_parents(&place) {
            Ok((directory, made)) => {
                if let Some(name) = place.missing.pop() {
                    place.name = Some(name);
                    place.missing.clear();
                }
                place.directory = directory;
                return Ok((place, made));
            }
            Err(fault) if matches!(fault.kind(), Kind::NotFound | Kind::Changed) => {}
            Err(fault) => return Err(fault.at(place.path.to_bytes())),
        }
        place = view.resolve(path, Last::Follow)?;
        check(&place, no_parents)?;
    }
    Err(place.fault(Kind::Changed, "write"))
}

fn make_parents(place: &Place) -> Result<(Arc<dyn Directory>, Made)> {
    let mut made = Made::default();
    let mut directory = Arc::clone(&place.directory);
    let Some((_, parents)) = place.missing.split_last() else {
        return Ok((directory, made));
    };
    for name in place.name.iter().chain(parents) {
        match directory.make_dir(name, None) {
            Ok(()) => {
                made.0.push((Arc::clone(&directory), name.clone()));
                narrow(&*directory, name)?;
            }
            Err(fault) if fault.kind() == Kind::AlreadyExists => {}
            Err(fault) => return Err(fault),
        }
        let (next, taken) = directory.descend(std::slice::from_ref(name))?;
        if taken == 0 {
            return Err(Fault::new(Kind::Changed, "write", name.as_bytes()));
        }
        directory = next;
    }
    Ok((directory, made))
}

/// Takes away what a generous umask left beyond [`PARENT_MODE`].
fn narrow(directory: &dyn Directory, name: &Name) -> Result<()> {
    let mode = directory.lookup(name)?.mode;
    if mode & 0o777 & !PARENT_MODE == 0 {
        return Ok(());
    }
    let mode = Some(mode & (0o7000 | PARENT_MODE));
    let changes = Changes {
        mode,
        ..Changes::default()
    };
    directory.set_attributes(Some(name), &changes)
}

/// Where the bytes go until the commit.
#[derive(Debug)]
enum Sink {
    Draft(Box<dyn Draft>),
    Spool(Spool),
}

/// What is on its way. The order of the fields matters: the draft goes before its directories.
#[derive(Debug)]
struct Work {
    sink: Sink,
    hasher: Hasher,
    made: Made,
}

impl Work {
    fn write(&mut self, bytes: &[u8], hash: bool) -> Result<()> {
        if hash {
            self.hasher.update(bytes);
        }
        match &mut self.sink {
            Sink::Draft(draft) => draft.write(bytes),
            Sink::Spool(spool) => spool.write(bytes),
        }
    }
}

/// Lets go of the work where blocking is allowed.
#[derive(Debug)]
struct Slot(Option<Work>);

impl Slot {
    fn take(&mut self) -> Work {
        self.0.take().expect("there between two steps")
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(work) = self.0.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(work));
        }
    }
}

/// A file that is being written. Dropping it, at any moment, leaves nothing behind.
#[derive(Debug)]
pub struct Writing {
    vfs: Vfs,
    request: Request,
    place: Place,
    key: Key,
    work: Slot,
}

impl Writing {
    /// Adds pieces, in one turn of the pool. A failure ends it.
    pub async fn write(&mut self, pieces: Vec<bytes::Bytes>) -> Result<(), WriteError> {
        let mut work = self.work.take();
        let hash = self.request.digest.is_some();
        let path = self.place.path.to_bytes();
        let written = self.vfs.run_in(&self.place.mount, move |_| {
            let mut write = |piece: bytes::Bytes| work.write(&piece, hash);
            let written = pieces.into_iter().try_for_each(&mut write);
            written.map_err(|fault| fault.at(path))?;
            Ok(work)
        });
        self.work.0 = Some(written.await?);
        Ok(())
    }

    /// Makes it visible, if what was demanded holds under the file's lock.
    pub async fn commit(mut self) -> Result<Written, WriteError> {
        let guard = self.vfs.locks().take(vec![self.key.clone()]).await?;
        let work = self.work.take();
        let (place, request) = (self.place.clone(), self.request.clone());
        let committed = self.vfs.run_in(&self.place.mount, move |wanted| {
            let written = publish(work, place, &request, wanted);
            drop(guard);
            Ok(written)
        });
        committed.await?
    }
}

/// Under the lock: looks again, and makes it visible.
fn publish(
    work: Work,
    mut place: Place,
    request: &Request,
    wanted: &Wanted,
) -> Result<Written, WriteError> {
    // The draft goes before the directories that were made for it.
    let Work {
        mut made,
        sink,
        hasher,
    } = work;
    let at = |fault: Fault| fault.at(place.path.to_bytes());
    let came = hasher.finish();
    if request.digest.is_some_and(|due| due != came) {
        let path = place.path.clone();
        return Err(WriteError::Digest { path, came });
    }
    let name = place.require_name("write")?.clone();
    place.found = match place.directory.lookup(&name) {
        Ok(found) => Some(found),
        Err(fault) if fault.kind() == Kind::NotFound => None,
        Err(fault) => return Err(at(fault).into()),
    };
    let found = demand(&place, &request.demands, wanted)?;
    let how = Commit {
        condition: condition(&request.demands, found.as_ref()),
        sync: request.sync,
        hold: false,
    };
    let committed = match sink {
        Sink::Draft(draft) => draft.commit(&how),
        Sink::Spool(spool) => append(spool, &place, &name, request, &how),
    };
    let committed = match committed {
        Ok(committed) => committed,
        Err(fault) if how.condition != Condition::None && is_unmet(&fault) => {
            return Err(unmet(&place, place.directory.lookup(&name).ok().as_ref()));
        }
        Err(fault) => return Err(at(fault).into()),
    };
    made.keep();
    Ok(Written {
        path: place.path,
        attributes: committed.attributes,
        created: committed.created,
        atomic: committed.atomic,
    })
}

fn is_unmet(fault: &Fault) -> bool {
    matches!(fault.kind(), Kind::AlreadyExists | Kind::Changed)
}

/// What is demanded, in the words of a provider, which checks it once more in the very step.
fn condition(demands: &Demands, found: Option<&Attributes>) -> Condition {
    match found {
        _ if demands.is_none() => Condition::None,
        Some(found) => Condition::Is(found.version.clone()),
        None => Condition::Missing,
    }
}

/// Copies what came to the end of the file: all of it, whether or not the caller still waits. A failure half way takes back what
/// was written.
fn append(
    spool: Spool,
    place: &Place,
    name: &Name,
    request: &Request,
    how: &Commit,
) -> Result<Committed> {
    let creation = Creation {
        mode: request.mode,
        append: true,
        size: Some(spool.len()),
        ..Creation::default()
    };
    let mut draft = place.directory.create(name, &creation)?;
    match spool.drain(|bytes| draft.write(bytes)) {
        Ok(()) => draft.commit(how),
        Err(fault) => {
            let hold = Commit {
                hold: true,
                ..Commit::default()
            };
            let previous = draft.commit(&hold).ok().and_then(|done| done.previous);
            // The first failure is the one to tell.
            let _ = previous.map(Previous::restore);
            Err(fault)
        }
    }
}
