//! What the server reports as changed, and which picture it concerns. Pure.
//!
//! Damage is reported once (level `NonEmpty`) and the region is emptied only by the next grab, just before the image
//! is asked for, so a playing video costs one event while nobody looks. Every event carries the number of the last
//! request of ours that the server had taken; that tells whether it came before or after a grab.

/// Reports of one kind since the last look.
#[derive(Debug, Default)]
pub(super) struct Reports {
    last: Option<u64>,
}

impl Reports {
    /// The server reported a change after taking the request with this number.
    pub(super) fn add(&mut self, sequence: u64) {
        self.last = self.last.max(Some(sequence));
    }

    /// Whether a change was reported that no look has covered.
    pub(super) fn any(&self) -> bool {
        self.last.is_some()
    }

    /// A look that began with request `sequence` covers what was reported before. Gives whether anything was.
    pub(super) fn cover(&mut self, sequence: u64) -> bool {
        let any = self.any();
        self.last = self.last.filter(|last| *last >= sequence);
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_covers_what_came_before_it_only() {
        let mut reports = Reports::default();
        assert!(!reports.cover(1));
        reports.add(4);
        assert!(reports.cover(5), "it was reported");
        assert!(!reports.any(), "and is covered");
        reports.add(5);
        reports.add(4);
        assert!(reports.cover(5) && reports.any(), "it came during the look");
        assert!(reports.cover(7) && !reports.any());
    }
}
