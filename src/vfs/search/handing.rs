//! What is handed to others in handfuls: passing each piece by itself wakes a thread for each, which costs more than its work.

use std::sync::mpsc::SyncSender;

/// Pieces that are handed on together, once some were.
const HANDFUL: usize = 16;

/// Pieces on their way: the first ones by themselves, so that the first results come at once, then in handfuls that grow. Dropping
/// it hands on what is held. When nobody takes them any more, they go.
pub(super) struct Handing<T> {
    to: SyncSender<Vec<T>>,
    held: Vec<T>,
    most: usize,
}

impl<T> Handing<T> {
    pub(super) fn new(to: SyncSender<Vec<T>>) -> Self {
        Self {
            to,
            held: Vec::new(),
            most: 1,
        }
    }

    /// Adds a piece, and hands on a handful that is full. Waits while the queue is.
    pub(super) fn add(&mut self, piece: T) {
        self.held.push(piece);
        if self.held.len() >= self.most {
            self.pass();
            self.most = (self.most * 2).min(HANDFUL);
        }
    }

    /// Hands on what is held.
    pub(super) fn pass(&mut self) {
        if !self.held.is_empty() {
            let _ = self.to.send(std::mem::take(&mut self.held));
        }
    }
}

impl<T> Drop for Handing<T> {
    fn drop(&mut self) {
        self.pass();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn handfuls_grow_and_nothing_stays_behind() {
        let (to, from) = sync_channel(100);
        let mut handing = Handing::new(to);
        (0..60).for_each(|piece| handing.add(piece));
        drop(handing);
        let handfuls: Vec<Vec<u32>> = from.iter().collect();
        let sizes: Vec<_> = handfuls.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 2, 4, 8, 16, 16, 13]);
        assert!(handfuls.concat().into_iter().eq(0..60));
    }
}
