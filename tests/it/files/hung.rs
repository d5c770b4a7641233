//! A disk that never answers: it stops its own mount and nothing else.

mod patience {
    use std::{fs, time::Duration};

    use futures_util::{StreamExt, stream::FuturesUnordered};

    use crate::{
        files::{helpers::query, shown::Shown},
        support::daemon::{Daemon, Home, json},
    };

    /// Turns of a mount for short work.
    const TURNS: usize = 16;

    #[tokio::test]
    async fn a_disk_that_never_answers_stops_its_own_mount_only() {
        let home = Home::new();
        let (behind, front) = (home.path().join("behind"), home.path().join("front"));
        fs::create_dir(&behind).expect("made");
        fs::create_dir(&front).expect("made");
        fs::write(behind.join("there"), "text").expect("written");
        let Some(shown) = Shown::start(&behind, &front) else {
            return;
        };
        let mount = format!("/disk=host:{}", front.display());
        let daemon = Daemon::start_in(&home, &["--mount", &mount]);
        let read = |name: &str| format!("/api/v0/read-file?path={}", query(name.as_ref()));
        let answer = daemon.get(&read("/disk/there")).await;
        assert_eq!(answer.text().await.expect("text"), "text");
        shown.hang();
        let stat = |number: usize| format!("/api/v0/stat?path=%2Fdisk%2Fx{number}");
        let paths: Vec<String> = (0..=TURNS).map(stat).collect();
        let mut waiting: FuturesUnordered<_> = paths.iter().map(|path| daemon.get(path)).collect();
        // The one that gets no turn is told so; the others wait for the disk.
        let elsewhere = async {
            let path = read(behind.join("there").to_str().expect("text"));
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            for _ in 0..1000 {
                ticks.tick().await;
                let answer = daemon.get(&path).await;
                assert_eq!(answer.text().await.expect("text"), "text");
                assert_eq!(daemon.get("/healthz").await.status(), 200);
            }
        };
        let busy = |answer| async {
            let (status, body) = json(answer).await;
            assert_eq!(status, 503, "{body}");
            assert_eq!(body["code"], "mount_busy", "{body}");
        };
        let refused = tokio::select! {
            answer = waiting.next() => answer.expect("one"),
            () = elsewhere => panic!("nobody was told that the mount is busy"),
        };
        busy(refused).await;
        // Those who have a turn do not wait for ever either.
        while let Some(answer) = waiting.next().await {
            busy(answer).await;
        }
        // When it answers again, the turns come back.
        shown.go_on();
        let mut last = daemon.get(&read("/disk/there")).await;
        for _ in 0..10 {
            if last.status() == 200 {
                break;
            }
            last = daemon.get(&read("/disk/there")).await;
        }
        assert_eq!(last.text().await.expect("text"), "text");
        shown.hang();
        drop(waiting);
        assert_eq!(daemon.stop().code(), Some(0), "and it stops");
        drop(shown);
    }
}
