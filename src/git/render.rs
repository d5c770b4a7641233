//! The part of a diff that one file has: its head, and what is behind it (git-diff(1), "GENERATING PATCH TEXT WITH -P").

use std::sync::Arc;

use super::{
    clean,
    content::{Contents, Loaded, Opaque, Why},
    disk::Stat,
    objects::Id,
    quote,
    rename::WHOLE,
    text::{self, Counts, Text},
    tree::Side,
    walk::{LINK, SUBMODULE},
};

/// What a file is after the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// A stored content.
    Stored(Id),
    /// What is in the work tree, and the id it had when it was looked at.
    OnDisk(Option<Stat>, Option<Id>),
    /// A commit of a submodule, and whether something in it has changed.
    Commit(Id, bool),
    /// Not known.
    Opaque(Option<Stat>, Opaque),
}

/// The side after the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct New {
    pub(super) mode: u32,
    pub(super) what: What,
}

/// A file on both sides of a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) path: Vec<u8>,
    /// Where it was, and how alike both are, of 60 000.
    pub(super) renamed: Option<(Vec<u8>, u64)>,
    pub(super) old: Option<Side>,
    pub(super) new: Option<New>,
}

/// What a file adds to the diff.
#[derive(Clone, Debug, Default)]
pub(super) struct Rendered {
    /// The line `diff --git` and the lines of modes.
    pub(super) head: Vec<u8>,
    /// All, with the head. Not kept when it is longer than allowed.
    pub(super) text: Arc<[u8]>,
    /// How long it is.
    pub(super) size: u64,
    /// None: it was not compared, or is binary.
    pub(super) counts: Option<Counts>,
    pub(super) binary: bool,
    /// It is a stub already.
    pub(super) stub: bool,
    /// And that for its size.
    pub(super) limited: bool,
    /// The content after the change, when it was read.
    pub(super) id: Option<Id>,
}

/// How files are rendered.
#[derive(Debug)]
pub(super) struct Renderer<'a> {
    pub(super) contents: &'a Contents<'a>,
    pub(super) context: u32,
    /// Digits of ids, at least.
    pub(super) digits: usize,
    /// Bytes of one file's text that are kept.
    pub(super) limit: u64,
}

/// One side as it is compared.
struct Loadable {
    mode: u32,
    /// None: it is not known.
    id: Option<Id>,
    bytes: Result<Arc<[u8]>, Opaque>,
}

/// The line of a stub.
pub(super) fn stub(head: &[u8], why: &str, size: Option<u64>) -> Vec<u8> {
    let size = size
        .map(|size| format!(", {}", readable(size)))
        .unwrap_or_default();
    [
        head,
        format!("File diff not shown: {why}{size}\n").as_bytes(),
    ]
    .concat()
}

/// A size for a person.
pub(super) fn readable(size: u64) -> String {
    let (unit, name) = match size {
        0..1024 => return format!("{size} bytes"),
        1024..1_048_576 => (1024, "KiB"),
        1_048_576..1_073_741_824 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    let tenths = (u128::from(size) * 10).div_ceil(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

fn kind(mode: u32) -> u32 {
    mode & 0o170_000
}

impl Renderer<'_> {
    /// Renders a pair.
    pub(super) fn render(&self, pair: &Pair) -> Rendered {
        let old_path = pair.renamed.as_ref().map_or(&pair.path, |(path, _)| path);
        let old = pair.old.map(|side| self.load_old(side));
        let mut new_mode = pair.new.map(|new| new.mode);
        let new = pair
            .new
            .and_then(|new| self.load_new(&pair.path, new, pair.old));
        if new.is_none() {
            new_mode = None;
        }
        let head = head(
            old_path,
            &pair.path,
            pair.old.map(|side| side.mode),
            new_mode,
        );
        if let (Some(old), Some(new)) = (&old, &new)
            && kind(old.mode) != kind(new.mode)
        {
            return self.typechange(pair, head, old, new);
        }
        self.part(pair, old_path, head, old.as_ref(), new.as_ref())
    }

    /// A file that became a link, or the other way round: it goes and comes.
    fn typechange(&self, pair: &Pair, head: Vec<u8>, old: &Loadable, new: &Loadable) -> Rendered {
        let path = &pair.path;
        let gone = self::head(path, path, Some(old.mode), None);
        let come = self::head(path, path, None, Some(new.mode));
        let gone = self.part(pair, path, gone, Some(old), None);
        let come = self.part(pair, path, come, None, Some(new));
        both(head, &gone, &come)
    }

    fn load_old(&self, side: Side) -> Loadable {
        let bytes = match side.mode {
            SUBMODULE => Ok(commit_text(side.id, false)),
            _ => self.contents.stored(side.id),
        };
        Loadable {
            mode: side.mode,
            id: Some(side.id),
            bytes,
        }
    }

    /// None: it went meanwhile.
    fn load_new(&self, path: &[u8], new: New, old: Option<Side>) -> Option<Loadable> {
        let (id, bytes) = match new.what {
            What::Stored(id) => (Some(id), self.contents.stored(id)),
            What::Commit(id, dirty) => (Some(id), Ok(commit_text(id, dirty))),
            What::Opaque(_, opaque) => (None, Err(opaque)),
            What::OnDisk(_, Some(id)) if old.is_some_and(|old| old.id == id) => {
                (Some(id), self.contents.stored(id))
            }
            What::OnDisk(..) => match self.contents.on_disk(path) {
                Loaded::Gone => return None,
                Loaded::Bytes(_, bytes) => (Some(Id::of_content(&bytes)), Ok(bytes.into())),
                Loaded::AsStored(_, id) => (Some(id), self.contents.stored(id)),
                Loaded::Opaque(_, opaque) => (None, Err(opaque)),
            },
        };
        Some(Loadable {
            mode: new.mode,
            id,
            bytes,
        })
    }

    fn part(
        &self,
        pair: &Pair,
        old_path: &[u8],
        head: Vec<u8>,
        old: Option<&Loadable>,
        new: Option<&Loadable>,
    ) -> Rendered {
        let id = new.and_then(|new| new.id);
        let opaque = [old, new]
            .into_iter()
            .flatten()
            .find_map(|side| side.bytes.as_ref().err());
        let same = old
            .zip(new)
            .is_some_and(|(old, new)| old.id.is_some() && old.id == new.id);
        if let Some(opaque) = opaque.filter(|_| !same) {
            return stubbed(head, *opaque, id);
        }
        let mut out = Text::new(self.limit);
        out.push(&head);
        push_rename(pair, &mut out);
        let ids = |side: Option<&Loadable>| side.and_then(|side| side.id).unwrap_or_else(Id::zero);
        let (old_id, new_id) = (ids(old), ids(new));
        if old_id != new_id {
            let mode = old
                .zip(new)
                .filter(|(old, new)| old.mode == new.mode)
                .map(|(old, _)| old.mode);
            out.push(self.index_line(old_id, new_id, mode).as_bytes());
        }
        let mut rendered = Rendered {
            counts: Some(Counts::default()),
            id,
            ..Rendered::default()
        };
        if self.push_content(pair, old_path, (old, new), &mut out, &mut rendered) {
            rendered.head = head;
            rendered.size = out.size;
            rendered.text = out.bytes.into();
            return rendered;
        }
        let largest = [old, new].into_iter().flatten();
        let largest = largest.filter_map(|side| Some(side.bytes.as_ref().ok()?.len() as u64));
        let opaque = Opaque {
            why: Why::TooManyLines,
            size: largest.max(),
        };
        stubbed(head, opaque, id)
    }

    /// Adds what the contents differ in. False: they have too many lines.
    fn push_content(
        &self,
        pair: &Pair,
        old_path: &[u8],
        (old, new): (Option<&Loadable>, Option<&Loadable>),
        out: &mut Text,
        rendered: &mut Rendered,
    ) -> bool {
        let bytes = |side: Option<&Loadable>| -> Arc<[u8]> {
            let bytes = side.and_then(|side| side.bytes.as_ref().ok());
            bytes.map_or_else(|| Arc::new([]) as Arc<[u8]>, Arc::clone)
        };
        let (before, after) = (bytes(old), bytes(new));
        if before == after {
            return true;
        }
        let names = (
            label("a/", old_path, old.is_some()),
            label("b/", &pair.path, new.is_some()),
        );
        if self.is_binary(old_path, old, &before) || self.is_binary(&pair.path, new, &after) {
            rendered.binary = true;
            rendered.counts = None;
            let line = [
                &b"Binary files "[..],
                &names.0,
                b" and ",
                &names.1,
                b" differ\n",
            ];
            out.push(&line.concat());
            return true;
        }
        let (old_name, new_name) = (tabbed(names.0), tabbed(names.1));
        let begin = [b"--- ", &old_name[..], b"\n+++ ", &new_name, b"\n"].concat();
        let hunks = text::hunks(&before, &after, self.context, &begin, out);
        rendered.counts = hunks.ok();
        rendered.counts.is_some()
    }

    fn index_line(&self, old: Id, new: Id, mode: Option<u32>) -> String {
        let short = |id| self.contents.objects.abbreviate(id, self.digits);
        let mode = mode.map(|mode| format!(" {mode:06o}")).unwrap_or_default();
        format!("index {}..{}{mode}\n", short(old), short(new))
    }

    fn is_binary(&self, path: &[u8], side: Option<&Loadable>, bytes: &[u8]) -> bool {
        match side {
            None => false,
            Some(side) if side.mode == SUBMODULE => false,
            Some(side) => {
                let asked = (side.mode != LINK || !bytes.is_empty())
                    .then(|| self.contents.cleaning(path).binary);
                asked.flatten().unwrap_or_else(|| clean::is_binary(bytes))
            }
        }
    }
}

fn push_rename(pair: &Pair, out: &mut Text) {
    let Some((from, score)) = &pair.renamed else {
        return;
    };
    let percent = score * 100 / WHOLE;
    let mut lines = format!("similarity index {percent}%\nrename from ").into_bytes();
    quote::push(&mut lines, "", from);
    lines.extend_from_slice(b"\nrename to ");
    quote::push(&mut lines, "", &pair.path);
    lines.push(b'\n');
    out.push(&lines);
}

/// One part of two: what was there goes, and something else comes.
pub(super) fn both(head: Vec<u8>, gone: &Rendered, come: &Rendered) -> Rendered {
    let fits = !gone.text.is_empty() && !come.text.is_empty();
    let text = if fits {
        [&gone.text[..], &come.text[..]].concat()
    } else {
        Vec::new()
    };
    Rendered {
        head,
        text: text.into(),
        size: gone.size + come.size,
        counts: gone.counts.zip(come.counts).map(|(gone, come)| Counts {
            additions: come.additions,
            deletions: gone.deletions,
        }),
        binary: gone.binary || come.binary,
        stub: gone.stub || come.stub,
        limited: gone.limited || come.limited,
        id: come.id,
    }
}

/// The part of a file that is not shown.
pub(super) fn stubbed(head: Vec<u8>, opaque: Opaque, id: Option<Id>) -> Rendered {
    let text = stub(&head, opaque.why.text(), opaque.size);
    Rendered {
        size: text.len() as u64,
        text: text.into(),
        head,
        stub: true,
        limited: matches!(opaque.why, Why::TooLarge | Why::TooManyLines),
        id,
        ..Rendered::default()
    }
}

fn commit_text(id: Id, dirty: bool) -> Arc<[u8]> {
    let dirty = if dirty { "-dirty" } else { "" };
    format!("Subproject commit {id}{dirty}\n")
        .into_bytes()
        .into()
}

/// The line `diff --git`, and the lines of modes.
pub(super) fn head(old_path: &[u8], path: &[u8], old: Option<u32>, new: Option<u32>) -> Vec<u8> {
    let mut head = b"diff --git ".to_vec();
    quote::push(&mut head, "a/", old_path);
    head.push(b' ');
    quote::push(&mut head, "b/", path);
    head.push(b'\n');
    let modes = match (old, new) {
        (None, Some(new)) => format!("new file mode {new:06o}\n"),
        (Some(old), None) => format!("deleted file mode {old:06o}\n"),
        (Some(old), Some(new)) if old != new => format!("old mode {old:06o}\nnew mode {new:06o}\n"),
        _ => String::new(),
    };
    head.extend_from_slice(modes.as_bytes());
    head
}

fn label(prefix: &str, path: &[u8], there: bool) -> Vec<u8> {
    if !there {
        return b"/dev/null".to_vec();
    }
    let mut label = Vec::new();
    quote::push(&mut label, prefix, path);
    label
}

/// A name with a blank is ended by a tab, so that programs see where.
fn tabbed(mut label: Vec<u8>) -> Vec<u8> {
    if label.contains(&b' ') {
        label.push(b'\t');
    }
    label
}
