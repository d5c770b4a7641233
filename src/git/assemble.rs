//! One diff out of the parts of many files, within a limit: nothing is cut below it; over it large parts become stubs, the
//! largest first; and when that is not enough, one line stands for all.

use std::sync::Arc;

use super::render::{Rendered, readable, stub};

/// From this size on a part may become a stub.
const STUB_FROM: u64 = 256 * 1024;
/// Stubs and heads count, too: of so many parts none is kept any more.
const MOST_PARTS: usize = 200_000;

/// Parts in the order of the diff. No more than the limit is kept, however many there are.
#[derive(Debug)]
pub(super) struct Assembly {
    limit: u64,
    parts: Vec<Part>,
    /// Bytes of the parts as they would be written.
    size: u64,
    /// Bytes of all texts.
    whole: u64,
    /// Nothing fits any more: only sizes are counted.
    over: bool,
    /// Some part is not shown whole.
    cut: bool,
    /// Parts may become stubs.
    stubs: bool,
}

#[derive(Debug)]
struct Part {
    head: Vec<u8>,
    text: Arc<[u8]>,
    size: u64,
    stub: bool,
}

impl Assembly {
    /// Without stubs, too much is too much.
    pub(super) fn new(limit: u64, stubs: bool) -> Self {
        Self {
            stubs,
            limit,
            parts: Vec::new(),
            size: 0,
            whole: 0,
            over: false,
            cut: false,
        }
    }

    /// Whether there is no need for texts any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Adds a part behind the others.
    pub(super) fn push(&mut self, rendered: &Rendered) {
        self.whole += rendered.size;
        self.cut |= rendered.limited;
        if self.over {
            return;
        }
        let mut part = Part {
            head: rendered.head.clone(),
            text: Arc::clone(&rendered.text),
            size: rendered.size,
            stub: rendered.stub,
        };
        // The renderer did not keep it: it alone is over the limit.
        if part.text.is_empty() && part.size > 0 {
            self.over |= !self.stubs;
            make_stub(&mut part);
            self.cut = true;
        }
        self.size += if part.stub {
            part.text.len() as u64
        } else {
            part.size
        };
        self.parts.push(part);
        while self.stubs && self.size > self.limit && self.stub_largest() {}
        if self.size > self.limit || self.parts.len() > MOST_PARTS {
            self.over = true;
            self.parts = Vec::new();
        }
    }

    /// The first of the largest parts that may become a stub.
    fn stub_largest(&mut self) -> bool {
        let large = self
            .parts
            .iter_mut()
            .filter(|part| !part.stub && part.size > STUB_FROM);
        let Some(part) = large.reduce(|best, part| if part.size > best.size { part } else { best })
        else {
            return false;
        };
        let before = part.size;
        make_stub(part);
        self.size = self.size - before + part.text.len() as u64;
        self.cut = true;
        true
    }

    /// The text, and what was done to it.
    pub(super) fn finish(self) -> Assembled {
        if self.over {
            let line = format!("Total diff too large to show: {}\n", readable(self.whole));
            return Assembled {
                text: line.into_bytes(),
                parts: Vec::new(),
                cut: true,
            };
        }
        let texts: Vec<&[u8]> = self.parts.iter().map(|part| &part.text[..]).collect();
        Assembled {
            text: texts.concat(),
            parts: self
                .parts
                .iter()
                .map(|part| (part.head.len(), part.text.len()))
                .collect(),
            cut: self.cut,
        }
    }
}

/// One diff.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) text: Vec<u8>,
    /// How long the head and all of each part are.
    pub(super) parts: Vec<(usize, usize)>,
    /// Some part is not shown whole.
    pub(super) cut: bool,
}

fn make_stub(part: &mut Part) {
    part.text = stub(
        &part.head,
        "it is too large beside the others",
        Some(part.size),
    )
    .into();
    part.stub = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(size: usize) -> Rendered {
        let mut text = b"diff --git a/x b/x\n".to_vec();
        text.resize(size, b'x');
        Rendered {
            head: b"diff --git a/x b/x\n".to_vec(),
            size: size as u64,
            text: text.into(),
            ..Rendered::default()
        }
    }

    fn assembled(sizes: &[usize]) -> (Vec<u8>, bool) {
        let mut all = Assembly::new(3 << 20, true);
        for size in sizes {
            all.push(&part(*size));
        }
        let all = all.finish();
        (all.text, all.cut)
    }

    #[test]
    fn nothing_is_cut_that_fits() {
        let (text, cut) = assembled(&[1 << 20, 2 << 20]);
        assert!(!cut && text.len() == 3 << 20);
    }

    #[test]
    fn the_largest_becomes_a_stub_first_wherever_it_stands() {
        for sizes in [[5 << 20, 1 << 20, 400_000], [400_000, 1 << 20, 5 << 20]] {
            let (text, cut) = assembled(&sizes);
            assert!(cut && text.len() > (1 << 20) + 400_000 && text.len() < (1 << 20) + 401_000);
        }
    }

    #[test]
    fn many_small_ones_are_one_line() {
        let (text, cut) = assembled(&[50 * 1024; 100]);
        let text = String::from_utf8(text).expect("a text");
        assert!(
            cut && text.starts_with("Total diff too large to show: 4.9 MiB"),
            "{text}"
        );
    }
}
