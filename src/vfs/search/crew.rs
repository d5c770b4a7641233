//! The threads of a search: one goes through the tree, some search, the caller's puts in order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Finding, Line, Output, Query, Resume,
    handing::Handing,
    sink::{Lines, Outcome, Reader, goes_on, searcher},
};
use crate::vfs::{
    entry::EntryKind,
    fault::{Fault, Kind, Result},
    path::{Name, TreePath},
    pool::Wanted,
    provider::OpenFile,
    traverse::{Key, Options, Traversal},
    view::{Opened, Place, View},
};

/// Searchers of one search.
const WORKERS: usize = 4;
/// Handfuls that wait for a searcher.
const HANDFULS: usize = 8;
/// Findings and handfuls that wait to be told.
const NOTES: usize = 128;
/// How often whoever waits for searchers looks whether there is time left.
const LOOK: Duration = Duration::from_secs(1);
/// Findings of a file that are passed on together.
const TOGETHER: usize = 128;
/// Files that may be searched ahead of the one whose turn it is.
const AHEAD: u64 = 1024;

/// How a search ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stopped {
    /// Everything was searched.
    #[default]
    Done,
    /// The limit of findings.
    Limit,
    /// The limit of bytes.
    MaxBytes,
    /// The deadline.
    Timeout,
}

/// What was searched.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How it ended.
    pub stopped: Stopped,
    /// Lines found.
    pub matches: u64,
    /// Files with some.
    pub files: u64,
    /// Files searched.
    pub files_searched: u64,
    /// Bytes read.
    pub bytes_searched: u64,
    /// Files passed over because of a NUL.
    pub binary: u64,
    /// Files that could not be read.
    pub unreadable: u64,
    /// Entries that are neither file nor directory nor link.
    pub not_regular: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Where to go on, of a search in the order of the paths that was not done.
    pub resume: Option<Resume>,
}

struct Job {
    index: u64,
    path: Arc<TreePath>,
    parent: Arc<Opened>,
    name: Name,
    /// Findings of it that were given before.
    skip: u64,
}

enum Note {
    Found(u64, Vec<Finding>),
    Done(Vec<(u64, Ended)>),
}

struct Ended {
    path: Arc<TreePath>,
    outcome: Outcome,
    matches: u64,
    failed: bool,
}

struct Shared<'a> {
    query: &'a Query,
    wanted: &'a Wanted,
    stop: AtomicBool,
    /// The file whose turn it is to be told.
    turn: AtomicU64,
    not_regular: AtomicU64,
}

impl Shared<'_> {
    /// Whether so many findings wait for their turn that no further file should be begun. Without an order none waits.
    fn is_ahead(&self, index: u64) -> bool {
        self.query.sorted && index > self.turn.load(Ordering::Relaxed) + AHEAD
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && goes_on(self.wanted, self.query)
    }
}

/// Searches a place: a file, or a directory with all below it. Findings are given as they come; when `give` says no, it ends. It
/// blocks, and uses some threads more, which have ended when it returns.
pub fn search(
    view: &View,
    place: &Place,
    query: &Query,
    wanted: &Wanted,
    give: &mut dyn FnMut(Finding) -> bool,
) -> Result<Summary> {
    let began = Instant::now();
    let shared = Shared {
        query,
        wanted,
        stop: AtomicBool::new(false),
        turn: AtomicU64::new(0),
        not_regular: AtomicU64::new(0),
    };
    let source = Source::new(view, place, query)?;
    let (jobs, queue) = sync_channel::<Vec<Job>>(HANDFULS);
    let (notes, news) = sync_channel::<Note>(NOTES);
    let queue = Mutex::new(queue);
    let count = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(WORKERS);
    let mut teller = Teller::new(&shared, place.path.names().len(), give);
    thread::scope(|scope| {
        let (shared, queue) = (&shared, &queue);
        scope.spawn(move || source.run(shared, Handing::new(jobs)));
        for _ in 0..count {
            let notes = notes.clone();
            scope.spawn(move || work(shared, queue, &notes));
        }
        drop(notes);
        teller.listen(&news);
        shared.stop.store(true, Ordering::Relaxed);
        // Whoever waits to pass something on is let go.
        while !matches!(news.recv_timeout(LOOK), Err(RecvTimeoutError::Disconnected)) {}
    });
    wanted.check()?;
    let mut summary = teller.summary;
    summary.not_regular = shared.not_regular.load(Ordering::Relaxed);
    summary.elapsed = began.elapsed();
    Ok(summary)
}

/// Where the files come from.
enum Source {
    File(Option<Job>),
    Tree(Option<Job>, Box<Traversal>),
}

impl Source {
    fn new(view: &View, place: &Place, query: &Query) -> Result<Self> {
        let found = place.require("search")?;
        if !found.kind.is_directory() {
            if found.kind != EntryKind::File {
                return Err(place.fault(Kind::NotRegular, "search"));
            }
            let parent = Opened {
                path: place.path.clone(),
                mount: Arc::clone(&place.mount),
                directory: Arc::clone(&place.directory),
            };
            let skip = query.resume.as_ref().map_or(0, |resume| resume.given);
            let name = place.require_name("search")?.clone();
            let path = Arc::new(place.path.clone());
            return Ok(Self::File(Some(Job {
                index: 0,
                path,
                parent: Arc::new(parent),
                name,
                skip,
            })));
        }
        let root = place.open_directory("search")?;
        let options = Options {
            ignore: query.ignore,
            // A type that is asked for brings hidden files of it, too; directories stay hidden.
            hidden: query.hidden || query.by_type,
            selection: query.selection.clone(),
            ..Options::default()
        };
        let Some(resume) = &query.resume else {
            return Traversal::new(view.clone(), root, options)
                .map(|tree| Self::Tree(None, Box::new(tree)));
        };
        let first = if resume.given == u64::MAX {
            None
        } else {
            resumed(view, &root, resume)
        };
        let key = |name: &Name| Key {
            behind: false,
            value: 0,
            name: name.clone(),
        };
        let position: Vec<Key> = resume.names.iter().map(key).collect();
        let tree = Traversal::resume(view.clone(), root, options, &position)?;
        Ok(Self::Tree(first, Box::new(tree)))
    }

    fn run(self, shared: &Shared<'_>, mut jobs: Handing<Job>) {
        let (first, tree) = match self {
            Self::File(job) => (job, None),
            Self::Tree(first, tree) => (first, Some(tree)),
        };
        let mut index = 0;
        if let Some(job) = first {
            index += 1;
            jobs.add(job);
        }
        let Some(mut tree) = tree else { return };
        while let Some(found) = tree.next() {
            // What cannot be listed is no file of the search.
            let Ok(found) = found else { continue };
            let hidden = found.name.as_bytes().starts_with(b".") && !shared.query.hidden;
            if found.kind.is_directory() && hidden && shared.query.by_type {
                Traversal::skip(&mut tree);
            }
            if found.kind.is_directory() || !found.selected {
                continue;
            }
            if found.kind != EntryKind::File {
                if found.kind != EntryKind::Symlink {
                    shared.not_regular.fetch_add(1, Ordering::Relaxed);
                }
                continue;
            }
            let path = found.path();
            if shared
                .query
                .types
                .matched(crate::vfs::ignore::as_path(&path), false)
                .is_ignore()
            {
                continue;
            }
            while shared.is_ahead(index) && shared.goes_on() {
                // The one whose turn it is may be among them.
                jobs.pass();
                thread::park_timeout(Duration::from_millis(1));
            }
            if !shared.goes_on() {
                return;
            }
            let job = Job {
                index,
                path: Arc::new(path),
                parent: found.parent,
                name: found.name,
                skip: 0,
            };
            index += 1;
            jobs.add(job);
        }
    }
}

/// The file in which an earlier search stopped, when it is still there.
fn resumed(view: &View, root: &Opened, resume: &Resume) -> Option<Job> {
    let (name, parents) = resume.names.split_last()?;
    let mut parent = root.clone();
    for name in parents {
        parent = view
            .child(&parent, name)
            .and_then(|place| place.open_directory("search"))
            .ok()?;
    }
    let path = Arc::new(parent.path.join(name));
    Some(Job {
        index: 0,
        path,
        parent: Arc::new(parent),
        name: name.clone(),
        skip: resume.given,
    })
}

fn work(shared: &Shared<'_>, queue: &Mutex<Receiver<Vec<Job>>>, notes: &SyncSender<Note>) {
    let mut searcher = searcher(shared.query);
    loop {
        let jobs = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(jobs) = jobs else { return };
        let mut done = Vec::with_capacity(jobs.len());
        for job in jobs {
            if !shared.goes_on() {
                break;
            }
            let ended = match job.parent.directory.open(&job.name) {
                Ok(file) => look(shared, &mut searcher, &job, &*file, notes),
                Err(fault) => failed(&job, fault, notes),
            };
            done.push((job.index, ended));
        }
        if notes.send(Note::Done(done)).is_err() {
            return;
        }
    }
}

fn failed(job: &Job, fault: Fault, notes: &SyncSender<Note>) -> Ended {
    let gone = fault.kind() == Kind::NotFound;
    if !gone {
        let fault = fault.at(job.path.to_bytes());
        let _ = notes.send(Note::Found(
            job.index,
            vec![Finding::Failed(Arc::clone(&job.path), fault)],
        ));
    }
    Ended {
        path: Arc::clone(&job.path),
        outcome: Outcome::default(),
        matches: 0,
        failed: !gone,
    }
}

fn look(
    shared: &Shared<'_>,
    searcher: &mut grep_searcher::Searcher,
    job: &Job,
    file: &dyn OpenFile,
    notes: &SyncSender<Note>,
) -> Ended {
    let query = shared.query;
    let (mut matches, mut pieces) = (0_u64, Vec::new());
    let most = query
        .limit_per_file
        .unwrap_or(u64::MAX)
        .min(query.limit.saturating_add(job.skip).saturating_add(1));
    let mut give = |line: Line| {
        matches += 1;
        if query.output == Output::Matches && matches > job.skip {
            pieces.push(Finding::Match(Arc::clone(&job.path), line));
            // The first is told at once, the rest in handfuls.
            if matches == job.skip + 1 || pieces.len() == TOGETHER {
                let _ = notes.send(Note::Found(job.index, std::mem::take(&mut pieces)));
            }
        }
        query.output != Output::Files && matches < most
    };
    let wanted = || shared.goes_on();
    let reader = Reader {
        file,
        offset: 0,
        ended: false,
        wanted: &wanted,
    };
    let mut lines = Lines::new(query, &mut give);
    let result = searcher.search_reader(&query.matcher, reader, &mut lines);
    let outcome = lines.finish();
    match result {
        Err(error) if shared.goes_on() => {
            let fault = Fault::from_io(error, "search", job.path.to_bytes());
            pieces.push(Finding::Failed(Arc::clone(&job.path), fault));
        }
        _ if query.output != Output::Matches && matches > 0 && job.skip == 0 => {
            pieces.push(Finding::File(Arc::clone(&job.path), matches));
        }
        _ => {}
    }
    let failed = pieces
        .iter()
        .any(|piece| matches!(piece, Finding::Failed(..)));
    if !pieces.is_empty() {
        let _ = notes.send(Note::Found(job.index, pieces));
    }
    Ended {
        path: Arc::clone(&job.path),
        outcome,
        matches,
        failed,
    }
}

/// Puts findings in order and counts.
struct Teller<'a> {
    shared: &'a Shared<'a>,
    give: &'a mut dyn FnMut(Finding) -> bool,
    summary: Summary,
    told: u64,
    bytes: u64,
    /// Names of the root's path.
    depth: usize,
    /// What came before its turn.
    early: BTreeMap<u64, (Vec<Finding>, Option<Ended>)>,
    turn: u64,
    /// The file of the last finding, and how many of it were told.
    last: Option<(Arc<TreePath>, u64)>,
}

impl<'a> Teller<'a> {
    fn new(shared: &'a Shared<'a>, depth: usize, give: &'a mut dyn FnMut(Finding) -> bool) -> Self {
        Self {
            shared,
            give,
            summary: Summary::default(),
            told: 0,
            bytes: 0,
            depth,
            early: BTreeMap::new(),
            turn: 0,
            last: None,
        }
    }

    fn listen(&mut self, news: &Receiver<Note>) {
        loop {
            let note = match news.recv_timeout(LOOK) {
                Ok(note) => note,
                Err(RecvTimeoutError::Timeout) if self.shared.goes_on() => continue,
                Err(_) => break,
            };
            let go_on = match note {
                Note::Found(index, findings) if !self.shared.query.sorted || index == self.turn => {
                    self.tell(findings)
                }
                Note::Found(index, findings) => {
                    self.early.entry(index).or_default().0.extend(findings);
                    true
                }
                Note::Done(done) => self.done(done),
            };
            if !go_on {
                break;
            }
        }
        if self.summary.stopped == Stopped::Done && Instant::now() >= self.shared.query.deadline {
            self.summary.stopped = Stopped::Timeout;
        }
        self.summary.resume = self.resume();
    }

    fn done(&mut self, done: Vec<(u64, Ended)>) -> bool {
        for (index, ended) in done {
            if self.shared.query.sorted {
                self.early.entry(index).or_default().1 = Some(ended);
            } else {
                self.count(&ended);
            }
        }
        self.next_turns()
    }

    /// Tells what waits for its turn, as long as it is known.
    fn next_turns(&mut self) -> bool {
        while let Some(mut first) = self.early.first_entry() {
            if *first.key() != self.turn {
                return true;
            }
            let findings = std::mem::take(&mut first.get_mut().0);
            let ended = first.get_mut().1.take();
            if !self.tell(findings) {
                return false;
            }
            let Some(ended) = ended else { return true };
            self.early.remove(&self.turn);
            self.count(&ended);
            self.turn += 1;
            self.shared.turn.store(self.turn, Ordering::Relaxed);
        }
        true
    }

    fn count(&mut self, ended: &Ended) {
        self.summary.files_searched += 1;
        self.summary.bytes_searched += ended.outcome.bytes;
        self.summary.binary += u64::from(ended.outcome.binary);
        self.summary.unreadable += u64::from(ended.failed);
        self.summary.matches += ended.matches;
        self.summary.files += u64::from(ended.matches > 0);
        if self
            .last
            .as_ref()
            .is_none_or(|(path, _)| *path != ended.path)
        {
            self.last = Some((Arc::clone(&ended.path), u64::MAX));
        }
    }

    fn tell(&mut self, findings: Vec<Finding>) -> bool {
        for finding in findings {
            let path = match &finding {
                Finding::Match(path, line) => {
                    self.bytes += line.weight();
                    path
                }
                Finding::File(path, _) | Finding::Failed(path, _) => path,
            };
            self.bytes += path
                .names()
                .iter()
                .map(|name| name.as_bytes().len() as u64 + 1)
                .sum::<u64>();
            if self.told == self.shared.query.limit {
                self.summary.stopped = Stopped::Limit;
                return false;
            }
            if self.bytes > self.shared.query.max_bytes && self.told > 0 {
                self.summary.stopped = Stopped::MaxBytes;
                return false;
            }
            let counted = !matches!(finding, Finding::Failed(..));
            let path = Arc::clone(path);
            if !(self.give)(finding) {
                return false;
            }
            self.told += u64::from(counted);
            match &mut self.last {
                Some((last, given)) if *last == path => *given = given.saturating_add(1),
                _ => {
                    let before = self.shared.query.resume.as_ref();
                    let given = before.filter(|resume| self.below(&path) == resume.names);
                    self.last = Some((path, given.map_or(0, |resume| resume.given) + 1));
                }
            }
        }
        true
    }

    fn below(&self, path: &TreePath) -> Vec<Name> {
        path.names()[self.depth.min(path.names().len())..].to_vec()
    }

    fn resume(&self) -> Option<Resume> {
        if self.summary.stopped == Stopped::Done || !self.shared.query.sorted {
            return None;
        }
        let Some((path, given)) = self.last.as_ref() else {
            return self.shared.query.resume.clone();
        };
        Some(Resume {
            names: self.below(path),
            given: *given,
        })
    }
}
