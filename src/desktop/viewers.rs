//! Who looks at the desktop now: a bounded registry that entries leave by being dropped.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use uuid::Uuid;

use crate::telemetry::Metrics;

/// Viewers at once, of all desktops of this registry.
pub const VIEWERS_MAX: usize = 256;

/// Bytes of one viewer, as they came off the two sockets. What view-only drops is counted, too.
#[derive(Debug, Default)]
pub struct Traffic {
    to_viewer: AtomicU64,
    to_server: AtomicU64,
}

impl Traffic {
    /// Bytes sent to the viewer.
    pub fn to_viewer(&self) -> u64 {
        self.to_viewer.load(Ordering::Relaxed)
    }

    /// Bytes received from the viewer.
    pub fn to_server(&self) -> u64 {
        self.to_server.load(Ordering::Relaxed)
    }

    pub(super) fn add_to_viewer(&self, bytes: usize) {
        self.to_viewer.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn add_to_server(&self, bytes: usize) {
        self.to_server.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A viewer as it was when it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewerInfo {
    /// Time-ordered.
    pub id: Uuid,
    /// When it was admitted.
    pub connected_at: SystemTime,
    /// Whether it may only look.
    pub view_only: bool,
    /// Where it comes from, as its listener names it.
    pub peer: String,
    /// The chat for which it looks.
    pub chat: Option<Uuid>,
    /// Bytes sent to it.
    pub bytes_to_viewer: u64,
    /// Bytes received from it.
    pub bytes_to_server: u64,
}

/// The registry is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {limit} viewers already, which is the limit")]
pub struct TooManyViewers {
    /// The limit.
    pub limit: usize,
}

/// Cheap handle on the registry. Every clone speaks of the same viewers.
#[derive(Clone, Debug)]
pub struct Viewers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    metrics: Arc<Metrics>,
    /// Guards the table alone; held for one look-up or one copy, never across an await.
    table: Mutex<BTreeMap<Uuid, Entry>>,
}

#[derive(Debug)]
struct Entry {
    connected_at: SystemTime,
    view_only: bool,
    peer: String,
    chat: Option<Uuid>,
    traffic: Arc<Traffic>,
}

/// A viewer's place in the registry; dropping it gives the place back.
#[derive(Debug)]
pub struct ViewerGuard {
    shared: Arc<Shared>,
    id: Uuid,
    traffic: Arc<Traffic>,
}

impl Viewers {
    /// An empty registry for at most [`VIEWERS_MAX`] viewers.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self::with_limit(metrics, VIEWERS_MAX)
    }

    /// An empty registry for at most `limit` viewers.
    pub fn with_limit(metrics: Arc<Metrics>, limit: usize) -> Self {
        let table = Mutex::default();
        Self {
            shared: Arc::new(Shared {
                limit,
                metrics,
                table,
            }),
        }
    }

    /// Takes in a viewer, or refuses when the registry is full.
    pub fn admit(
        &self,
        peer: String,
        chat: Option<Uuid>,
        view_only: bool,
    ) -> Result<ViewerGuard, TooManyViewers> {
        let mut table = self.shared.table();
        let limit = self.shared.limit;
        if table.len() >= limit {
            return Err(TooManyViewers { limit });
        }
        let id = Uuid::now_v7();
        let traffic = Arc::<Traffic>::default();
        let entry = Entry {
            connected_at: SystemTime::now(),
            view_only,
            peer,
            chat,
            traffic: Arc::clone(&traffic),
        };
        table.insert(id, entry);
        self.shared.metrics.viewers.inc();
        Ok(ViewerGuard {
            shared: Arc::clone(&self.shared),
            id,
            traffic,
        })
    }

    /// All viewers, the oldest first.
    pub fn list(&self) -> Vec<ViewerInfo> {
        let table = self.shared.table();
        let info = |(&id, entry): (&Uuid, &Entry)| ViewerInfo {
            id,
            connected_at: entry.connected_at,
            view_only: entry.view_only,
            peer: entry.peer.clone(),
            chat: entry.chat,
            bytes_to_viewer: entry.traffic.to_viewer(),
            bytes_to_server: entry.traffic.to_server(),
        };
        table.iter().map(info).collect()
    }
}

impl ViewerGuard {
    /// Id of this viewer.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Byte counts for the relay to add to.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }
}

impl Drop for ViewerGuard {
    fn drop(&mut self) {
        self.shared.table().remove(&self.id);
        self.shared.metrics.viewers.dec();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, BTreeMap<Uuid, Entry>> {
        self.table.lock().expect("no panic while it is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_is_listed_until_its_guard_is_dropped() {
        let metrics = Arc::new(Metrics::new());
        let viewers = Viewers::new(Arc::clone(&metrics));
        let first = viewers.admit("unix".into(), None, true).expect("room");
        let second = viewers
            .admit("127.0.0.1:9".into(), None, false)
            .expect("room");
        first.traffic().add_to_viewer(7);
        first.traffic().add_to_server(3);
        let list = viewers.list();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].id, list[1].id), (first.id(), second.id()));
        assert_eq!((list[0].bytes_to_viewer, list[0].bytes_to_server), (7, 3));
        assert!(list[0].view_only && !list[1].view_only);
        assert_eq!(metrics.viewers.get(), 2);
        drop(first);
        assert_eq!(viewers.list().len(), 1);
        assert_eq!(metrics.viewers.get(), 1);
    }

    #[test]
    fn a_full_registry_refuses_and_has_room_again_when_one_leaves() {
        let viewers = Viewers::with_limit(Arc::default(), 1);
        let guard = viewers.admit("a".into(), None, false).expect("room");
        let refused = viewers.admit("b".into(), None, false).expect_err("full");
        assert_eq!(refused, TooManyViewers { limit: 1 });
        drop(guard);
        viewers.admit("c".into(), None, false).expect("room again");
    }
}
