//! Listings: one directory as the compatible route shows it, and trees, page by page or as a stream.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Vfs,
    describe::Described,
    entry::EntryKind,
    fault::{Fault, Kind, Result},
    path::{ClientPath, Name, Step, TreePath},
    pool::Wanted,
    table::Mount,
    traverse::{Found, Key, Options, Traversal},
    view::{Last, Place, View},
};

/// How long a page may take; then it ends early, with a cursor.
const PAGE_TIME: Duration = Duration::from_secs(20);
/// Entries of a stream that are taken in one turn.
const BATCH: usize = 512;

/// One directory, whole.
#[derive(Debug)]
pub struct Contents {
    /// Its path as the caller sees it.
    pub path: Vec<u8>,
    /// Its entries: directories, then the rest, each in byte order.
    pub entries: Vec<Described>,
    /// Reading it broke off.
    pub partial: bool,
}

/// What is listed.
#[derive(Clone, Debug)]
pub struct Question {
    /// The directory.
    pub path: ClientPath,
    /// How it is gone through. The globs are those of `globs`.
    pub options: Options,
    /// By which entries are chosen.
    pub globs: Vec<String>,
    /// Kinds that are given; empty: all.
    pub kinds: Vec<EntryKind>,
}

/// A page of a listing.
#[derive(Debug)]
pub struct Page {
    /// Entries in order.
    pub entries: Vec<Described>,
    /// What could not be read below it.
    pub errors: Vec<Fault>,
    /// Where the next page begins, when there is more.
    pub next: Option<Vec<Key>>,
}

/// Why there is no listing.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A glob is none.
    #[error(transparent)]
    Glob(#[from] super::ignore::BadGlob),
}

/// A path as its caller spelled it, cleaned; resolved when it has `..`, which mean nothing without the links before them.
pub fn spelled(path: &ClientPath, resolved: &TreePath) -> Vec<u8> {
    let mut names = TreePath::root();
    for step in path.steps() {
        match step {
            Step::Name(name) => names.push(name.clone()),
            Step::Up => return resolved.to_bytes(),
        }
    }
    names.to_bytes()
}

/// A listing that is being gone through.
#[derive(Debug)]
pub struct Lister {
    view: View,
    traversal: Traversal,
    /// What stands before the names of entries: the path as it was spelled, without a `/` at its end.
    base: Vec<u8>,
    depth: usize,
    kinds: Vec<EntryKind>,
    metadata: bool,
    mount: Arc<Mount>,
    /// What was found behind the last page.
    ahead: Option<Result<Described>>,
    began: Instant,
}

impl Vfs {
    /// Everything in one directory.
    pub async fn contents(&self, path: &ClientPath) -> Result<Contents> {
        let view = self.view();
        let given = path.clone();
        self.run(&view, path, move |view, wanted| {
            contents(view, &given, wanted)
        })
        .await
    }

    /// Begins a listing, or goes on after a position.
    pub async fn list(
        &self,
        question: Question,
        position: Option<Vec<Key>>,
    ) -> Result<Lister, ListError> {
        let view = self.view();
        let path = question.path.clone();
        self.run(&view, &path, move |view, _| {
            Ok(Lister::begin(view, &question, position.as_deref()))
        })
        .await?
    }

    /// The next page, of at most so many entries. One that has fewer and goes on is the last for this time.
    pub async fn page(&self, mut lister: Lister, limit: usize) -> Result<(Lister, Page)> {
        let mount = Arc::clone(&lister.mount);
        self.run_in(&mount, move |wanted| {
            let page = lister.page(limit, wanted)?;
            Ok((lister, page))
        })
        .await
    }

    /// The next entries of a listing, and failures among them; none at its end.
    pub async fn batch(&self, mut lister: Lister) -> Result<(Lister, Vec<Result<Described>>)> {
        let mount = Arc::clone(&lister.mount);
        self.run_in(&mount, move |wanted| {
            let mut batch = Vec::new();
            while batch.len() < BATCH {
                wanted.check()?;
                match lister.next() {
                    Some(item) => batch.push(item),
                    None => break,
                }
            }
            Ok((lister, batch))
        })
        .await
    }
}

fn contents(view: &View, path: &ClientPath, wanted: &Wanted) -> Result<Contents> {
    let place = view.resolve(path, Last::Follow)?;
    let opened = place.open_directory("list")?;
    let base = spelled(path, &opened.path);
    let mut partial = false;
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        wanted.check()?;
        let listing = view.list(&opened, after.as_ref(), usize::MAX)?;
        partial |= listing.cut.is_some();
        after = listing.entries.last().map(|(name, _)| name.clone());
        for (name, _) in listing.entries {
            match view.child(&opened, &name) {
                Ok(place) if place.found.is_some() => {
                    entries.push(described(&base, name.as_bytes(), &place)?);
                }
                Ok(_) => {}
                Err(_) => partial = true,
            }
        }
        if !listing.more || after.is_none() {
            break;
        }
    }
    entries.sort_by(|a, b| {
        let directory = |entry: &Described| !entry.kind.is_directory();
        (directory(a), a.name()).cmp(&(directory(b), b.name()))
    });
    Ok(Contents {
        path: base,
        entries,
        partial,
    })
}

/// An entry without what costs more than a look.
fn described(base: &[u8], name: &[u8], place: &Place) -> Result<Described> {
    let attributes = place.require("look up")?.clone();
    Ok(Described {
        path: joined(base, name),
        kind: attributes.kind,
        facts: Some(super::describe::Facts {
            attributes,
            mount: place.mount.id(),
            tag: None,
            target: None,
        }),
    })
}

fn joined(base: &[u8], name: &[u8]) -> Vec<u8> {
    let base = base.strip_suffix(b"/").unwrap_or(base);
    [base, b"/", name].concat()
}

impl Lister {
    fn begin(
        view: &View,
        question: &Question,
        position: Option<&[Key]>,
    ) -> Result<Self, ListError> {
        let place = view.resolve(&question.path, Last::Follow)?;
        let root = place.open_directory("list")?;
        let base = spelled(&question.path, &root.path);
        let mut options = question.options.clone();
        options.selection = super::ignore::selection(&root.path, &question.globs)?;
        let (metadata, mount) = (options.attributes, Arc::clone(&root.mount));
        let depth = root.path.names().len();
        let traversal = match position {
            None => Traversal::new(view.clone(), root, options)?,
            Some(position) => Traversal::resume(view.clone(), root, options, position)?,
        };
        Ok(Self {
            view: view.clone(),
            traversal,
            base,
            depth,
            kinds: question.kinds.clone(),
            metadata,
            mount,
            ahead: None,
            began: Instant::now(),
        })
    }

    fn page(&mut self, limit: usize, wanted: &Wanted) -> Result<Page> {
        let mut page = Page {
            entries: Vec::with_capacity(limit.min(BATCH)),
            errors: Vec::new(),
            next: None,
        };
        loop {
            wanted.check()?;
            let late = self.began.elapsed() > PAGE_TIME && !page.entries.is_empty();
            let position = (page.entries.len() == limit || late).then(|| self.traversal.position());
            match self.next() {
                None => break,
                Some(found) if position.is_some() => {
                    self.ahead = Some(found);
                    page.next = position;
                    break;
                }
                Some(Ok(entry)) => page.entries.push(entry),
                Some(Err(fault)) => page.errors.push(fault),
            }
        }
        Ok(page)
    }

    /// The directory as the caller sees it.
    pub fn path(&self) -> &[u8] {
        &self.base
    }

    fn next(&mut self) -> Option<Result<Described>> {
        if let Some(found) = self.ahead.take() {
            return Some(found);
        }
        loop {
            match self.traversal.next()? {
                Err(fault) => return Some(Err(fault)),
                Ok(found) if self.is_asked(&found) => return Some(Ok(self.describe(found))),
                Ok(_) => {}
            }
        }
    }

    fn is_asked(&self, found: &Found) -> bool {
        found.selected && (self.kinds.is_empty() || self.kinds.contains(&found.kind))
    }

    fn describe(&self, found: Found) -> Described {
        let base = self.base.strip_suffix(b"/").unwrap_or(&self.base);
        let above = &found.parent.path.names()[self.depth..];
        let names = || above.iter().chain([&found.name]).map(Name::as_bytes);
        let size = names().map(|name| name.len() + 1).sum::<usize>();
        let mut path = Vec::with_capacity(base.len() + size);
        path.extend_from_slice(base);
        for name in names() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        let Found {
            parent,
            name,
            kind,
            attributes,
            mount,
            ..
        } = found;
        match attributes {
            Some(attributes) if self.metadata => {
                let mount = mount.id();
                let at = || parent.path.join(&name);
                let directory = &*parent.directory;
                Described::of(
                    &self.view,
                    path,
                    at,
                    directory,
                    Some(&name),
                    mount,
                    attributes,
                )
            }
            _ => Described {
                path,
                kind,
                facts: None,
            },
        }
    }
}

/// What is told of one place: of what a link leads to, or of the link.
pub fn look(view: &View, path: &ClientPath, last: Last) -> Result<(Place, Described)> {
    let place = view.resolve(path, last)?;
    if place.found.is_none() {
        return Err(place.fault(Kind::NotFound, "look up"));
    }
    let described = Described::place(view, spelled(path, &place.path), &place)?;
    Ok((place, described))
}
