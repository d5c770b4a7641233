//! Who has how many bytes: the quota of a mount, the budget of all mounts, and charges that are given back when dropped.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What all memory mounts may hold together. Cloned handles share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Account>);

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(Account::new(bytes)))
    }

    /// Bytes that are held.
    pub fn used(&self) -> u64 {
        self.0.used()
    }
}

#[derive(Debug)]
struct Account {
    limit: u64,
    used: AtomicU64,
}

impl Account {
    fn new(limit: u64) -> Self {
        Self {
            limit,
            used: AtomicU64::new(0),
        }
    }

    fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    // Relaxed: the counter guards no other memory.
    fn take(&self, bytes: u64) -> bool {
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The account of one mount, within the budget of all.
#[derive(Debug)]
pub(super) struct Ledger {
    own: Account,
    all: Budget,
}

/// Which bound was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// The mount's quota.
    Quota,
    /// The budget of all mounts.
    Budget,
}

impl Ledger {
    pub(super) fn new(quota: u64, all: Budget) -> Arc<Self> {
        Arc::new(Self {
            own: Account::new(quota),
            all,
        })
    }

    pub(super) fn used(&self) -> u64 {
        self.own.used()
    }

    /// Whether so many bytes could be taken now.
    pub(super) fn has(&self, bytes: u64) -> Result<(), Short> {
        let fits = |account: &Account| account.limit.saturating_sub(account.used()) >= bytes;
        match (fits(&self.own), fits(&self.all.0)) {
            (false, _) => Err(Short::Quota),
            (_, false) => Err(Short::Budget),
            _ => Ok(()),
        }
    }

    fn take(&self, bytes: u64) -> Result<(), Short> {
        if !self.own.take(bytes) {
            return Err(Short::Quota);
        }
        if !self.all.0.take(bytes) {
            self.own.give(bytes);
            return Err(Short::Budget);
        }
        Ok(())
    }
}

/// Bytes that somebody holds. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Charge {
    ledger: Arc<Ledger>,
    bytes: u64,
}

impl Charge {
    /// Takes bytes, all or none.
    pub(super) fn take(ledger: &Arc<Ledger>, bytes: usize) -> Result<Self, Short> {
        let bytes = bytes as u64;
        ledger.take(bytes)?;
        Ok(Self {
            ledger: ledger.clone(),
            bytes,
        })
    }

    /// Hands part of it to another holder.
    pub(super) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes as u64;
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .expect("only what was taken is handed on");
        Self {
            ledger: self.ledger.clone(),
            bytes,
        }
    }

    /// Becomes one with another charge of the same ledger.
    pub(super) fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.own.give(self.bytes);
        self.ledger.all.0.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_all_or_nothing_and_comes_back() {
        let all = Budget::new(15);
        let (one, other) = (Ledger::new(10, all.clone()), Ledger::new(10, all.clone()));
        let mut held = Charge::take(&one, 10).expect("within the quota");
        assert_eq!(Charge::take(&one, 1).expect_err("over"), Short::Quota);
        assert_eq!(Charge::take(&other, 6).expect_err("over"), Short::Budget);
        assert_eq!(other.used(), 0, "what failed holds nothing");
        drop(held.split(4));
        assert_eq!((one.used(), all.used()), (6, 6));
        held.join(Charge::take(&one, 1).expect("there is room again"));
        assert_eq!(one.has(4), Err(Short::Quota));
        assert_eq!(one.has(3), Ok(()));
        drop(held);
        assert_eq!((one.used(), all.used()), (0, 0));
    }
}
