//! Commits: what they say, and how they follow each other.

use std::{
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{
    disk,
    error::GitError,
    guard::Guard,
    objects::{Id, ObjectError, ObjectKind, Objects},
    place::Place,
};

/// Largest commit or tag that is read.
const MAX_COMMIT: u64 = 4 << 20;
/// How long commits of two branches are counted.
const PATIENCE: Duration = Duration::from_secs(1);
/// Tags that name each other.
const MAX_TAGS: usize = 8;

/// Somebody, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Bytes as they were written.
    pub name: Vec<u8>,
    /// Bytes as they were written.
    pub email: Vec<u8>,
    /// Seconds since 1970.
    pub seconds: i64,
    /// Minutes east of Greenwich.
    pub offset: i32,
}

/// A commit.
#[derive(Clone, Debug)]
pub struct CommitInfo {
    /// Its id.
    pub id: Id,
    /// Its tree.
    pub(super) tree: Id,
    /// First parent first.
    pub parents: Vec<Id>,
    /// Who wrote it.
    pub author: Person,
    /// Who made the commit.
    pub committer: Person,
    /// The first paragraph, in one line.
    pub subject: Vec<u8>,
    /// The rest.
    pub body: Vec<u8>,
    /// Names of references that point to it.
    pub refs: Vec<String>,
}

/// Reads commits of one repository.
#[derive(Debug)]
pub(super) struct Commits<'a> {
    objects: &'a Objects,
    guard: &'a Guard,
    root: &'a std::path::Path,
    /// Commits whose parents are not there (shallow clones).
    shallow: HashSet<Id>,
}

impl<'a> Commits<'a> {
    pub(super) fn new(
        objects: &'a Objects,
        place: &Place,
        root: &'a std::path::Path,
        guard: &'a Guard,
    ) -> Self {
        let file = disk::read_path(&place.common_dir.join("shallow"), 64 << 20)
            .ok()
            .flatten()
            .unwrap_or_default();
        let shallow = file
            .split(|byte| *byte == b'\n')
            .filter_map(Id::parse)
            .collect();
        Self {
            objects,
            guard,
            root,
            shallow,
        }
    }

    /// Reads a commit; of a tag, the commit that it names.
    pub(super) fn read(&self, id: Id) -> Result<CommitInfo, GitError> {
        self.guard.check()?;
        let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| {
            GitError::unreadable(self.root, "objects", source)
        };
        let mut id = id;
        for _ in 0..MAX_TAGS {
            match self.objects.read(id, ObjectKind::Commit, MAX_COMMIT) {
                Ok(bytes) => {
                    let mut commit = parse(id, &bytes)
                        .ok_or_else(|| unreadable("a commit is damaged".into()))?;
                    if self.shallow.contains(&id) {
                        commit.parents.clear();
                    }
                    return Ok(commit);
                }
                Err(ObjectError::WrongKind {
                    found: ObjectKind::Tag,
                    ..
                }) => {
                    let tag = self
                        .objects
                        .read(id, ObjectKind::Tag, MAX_COMMIT)
                        .map_err(|error| unreadable(error.into()))?;
                    let target = header(&tag, b"object").and_then(Id::parse);
                    id = target.ok_or_else(|| unreadable("a tag is damaged".into()))?;
                }
                Err(error) => return Err(unreadable(error.into())),
            }
        }
        Err(unreadable("tags name each other".into()))
    }

    /// Commits that only the first has, and those that only the second has. None: counting took too long, or something is
    /// missing.
    pub(super) fn ahead_behind(&self, ours: Id, theirs: Id) -> Option<(u64, u64)> {
        const OURS: u8 = 1;
        const THEIRS: u8 = 2;
        let begun = Instant::now();
        if ours == theirs {
            return Some((0, 0));
        }
        let mut marks: HashMap<Id, u8> = HashMap::new();
        let mut queue = BinaryHeap::new();
        for (id, mark) in [(ours, OURS), (theirs, THEIRS)] {
            let commit = self.read(id).ok()?;
            *marks.entry(commit.id).or_default() |= mark;
            queue.push((commit.committer.seconds, commit.id, commit.parents));
        }
        // How many that wait are not on both sides.
        let mut counted: HashMap<Id, u8> = HashMap::new();
        let mut open = 2_usize;
        while let Some((_, id, parents)) = queue.pop() {
            let mark = marks[&id];
            if mark != OURS | THEIRS {
                open -= 1;
            }
            counted.insert(id, mark);
            if begun.elapsed() > PATIENCE {
                return None;
            }
            for parent in parents {
                let before = marks.get(&parent).copied();
                let after = before.unwrap_or_default() | mark;
                if before == Some(after) {
                    continue;
                }
                marks.insert(parent, after);
                let waits = before.is_some() && !counted.contains_key(&parent);
                if waits {
                    if after == OURS | THEIRS {
                        open -= 1;
                    }
                    continue;
                }
                let commit = self.read(parent).ok()?;
                queue.push((commit.committer.seconds, parent, commit.parents));
                open += usize::from(after != OURS | THEIRS);
            }
            if open == 0 {
                break;
            }
        }
        let sides = |side: u8| marks.values().filter(|mark| **mark == side).count() as u64;
        Some((sides(OURS), sides(THEIRS)))
    }

    /// Commits from one on, newest first as `git log` has them, some of them passed over. Whether there are more.
    pub(super) fn log(
        &self,
        from: Id,
        skip: usize,
        limit: usize,
        names: &BTreeMap<Id, Vec<String>>,
    ) -> Result<(Vec<CommitInfo>, bool), GitError> {
        let mut seen = HashSet::new();
        let mut waiting: BinaryHeap<Waiting> = BinaryHeap::new();
        let mut order = u64::MAX;
        let mut add = |commit: CommitInfo, waiting: &mut BinaryHeap<Waiting>| {
            order -= 1;
            let key = (commit.committer.seconds, order);
            waiting.push(Waiting { key, commit });
        };
        let first = self.read(from)?;
        seen.insert(first.id);
        add(first, &mut waiting);
        let (mut commits, mut passed) = (Vec::new(), 0);
        while let Some(Waiting { mut commit, .. }) = waiting.pop() {
            for parent in &commit.parents {
                if seen.insert(*parent) {
                    add(self.read(*parent)?, &mut waiting);
                }
            }
            if passed < skip {
                passed += 1;
                continue;
            }
            if commits.len() == limit {
                return Ok((commits, true));
            }
            commit.refs = names.get(&commit.id).cloned().unwrap_or_default();
            commits.push(commit);
        }
        Ok((commits, false))
    }
}

/// A commit that waits for its turn: the newest first, of equal ones the one that was found first.
struct Waiting {
    key: (i64, u64),
    commit: CommitInfo,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// A line of the head of a commit or a tag.
fn header<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.is_empty());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(b" "))
}

fn parse(id: Id, bytes: &[u8]) -> Option<CommitInfo> {
    let end = memchr::memmem::find(bytes, b"\n\n").unwrap_or(bytes.len());
    let head = &bytes[..end];
    let message = bytes.get(end + 2..).unwrap_or_default();
    let lines = head.split(|byte| *byte == b'\n');
    let parents = lines
        .filter_map(|line| line.strip_prefix(b"parent "))
        .map(Id::parse);
    let (subject, body) = split_message(message);
    Some(CommitInfo {
        id,
        tree: header(head, b"tree").and_then(Id::parse)?,
        parents: parents.collect::<Option<_>>()?,
        author: header(head, b"author").map(person).unwrap_or_default(),
        committer: header(head, b"committer").map(person).unwrap_or_default(),
        subject,
        body,
        refs: Vec::new(),
    })
}

/// `Name <email> seconds +0100`
fn person(line: &[u8]) -> Person {
    let open = memchr::memchr(b'<', line).unwrap_or(line.len());
    let close = memchr::memrchr(b'>', line).unwrap_or(line.len()).max(open);
    let rest = std::str::from_utf8(line.get(close + 1..).unwrap_or_default()).unwrap_or_default();
    let mut words = rest.split_whitespace();
    let seconds = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let zone: i32 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    Person {
        name: line[..open].trim_ascii().to_vec(),
        email: line.get(open + 1..close).unwrap_or_default().to_vec(),
        seconds,
        offset: (zone / 100) * 60 + zone % 100,
    }
}

fn split_message(message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let message = message.trim_ascii_start();
    let mut subject: Vec<u8> = Vec::new();
    let mut at = 0;
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii();
        if text.is_empty() {
            break;
        }
        if !subject.is_empty() {
            subject.push(b' ');
        }
        subject.extend_from_slice(text);
        at += line.len();
    }
    let body = &message[at..];
    let start = body
        .iter()
        .position(|byte| *byte != b'\n' && *byte != b'\r')
        .unwrap_or(body.len());
    (subject, body[start..].to_vec())
}
