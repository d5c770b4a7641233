//! What every test uses: a real X server, a real daemon, programs that record what reached them.

pub mod daemon;
pub mod model;
pub mod portabledesktop;
pub mod recorder;
pub mod rfb_client;
pub mod selection;
pub mod tool_calls;
pub mod xserver;

/// Looks again and again until it is so: the last resort, for what no event tells. Panics after the usual patience.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    eventually_async(what, async || so()).await;
}

/// Like [`eventually`], for questions that wait themselves.
pub async fn eventually_async(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(5));
    let found = tokio::time::timeout(daemon::PATIENCE, async {
        while !so().await {
            looks.tick().await;
        }
    });
    assert!(found.await.is_ok(), "not within the patience: {what}");
}
