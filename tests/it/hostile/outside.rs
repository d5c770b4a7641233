//! What the machine shows of a running desktop: one listening port, and doors that stay shut.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path};

use deskd::desktop::x11::{self, Address};

use crate::{hostile::address, support::daemon::Daemon, vnc::Viewer};

/// The daemon, and every process that carries the path of its directories.
fn processes(daemon: &Daemon) -> Vec<u32> {
    let mark = daemon.home().path().to_str().expect("text").to_owned();
    let carries = |pid: &u32| {
        ["cmdline", "environ"].iter().any(|file| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(&mark)
        })
    };
    let entries = fs::read_dir("/proc").expect("processes");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(carries)
        .collect()
}

/// Inodes of the sockets that a process has open.
fn sockets(pid: u32) -> BTreeSet<String> {
    let inode = |entry: fs::DirEntry| {
        let link = fs::read_link(entry.path()).ok()?;
        let text = link.to_str()?.strip_prefix("socket:[")?;
        Some(text.strip_suffix(']')?.to_owned())
    };
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("ours");
    entries.filter_map(|entry| inode(entry.ok()?)).collect()
}

/// Local address and port, in the kernel's hexadecimal, of each TCP listener among these sockets.
fn listeners(of: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            if columns[3] == "0A" && of.contains(columns[9]) {
                found.push(columns[1].to_owned());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_on_tcp_but_deskd() {
    let daemon = Daemon::start(&[]);
    let desktop = daemon.started().await;
    let mut viewer = Viewer::open(&daemon, "").await;
    viewer.client.request(false).await.expect("sent");
    let ours = processes(&daemon);
    let xvnc = desktop["pid"].as_u64().expect("a pid");
    assert!(
        ours.contains(&daemon.pid()) && ours.iter().any(|pid| u64::from(*pid) == xvnc),
        "{ours:?}"
    );
    assert!(ours.len() >= 3, "the window manager, too: {ours:?}");
    let inodes = ours.into_iter().flat_map(sockets).collect();
    let port: u16 = daemon
        .address
        .rsplit(':')
        .next()
        .expect("a port")
        .parse()
        .expect("a number");
    assert_eq!(listeners(&inodes), [format!("0100007F:{port:04X}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_x_server_wants_its_cookie_and_rfb_lies_in_a_private_directory() {
    let daemon = Daemon::start(&[]);
    let desktop = daemon.started().await;
    let right = address(&desktop);
    x11::connect(&right).expect("the cookie opens");
    let mut almost = right.cookie.expect("a cookie");
    almost[15] ^= 1;
    for cookie in [None, Some([0; 16]), Some(almost)] {
        let wrong = Address {
            display: right.display.clone(),
            cookie,
        };
        assert!(x11::connect(&wrong).is_err());
    }
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let authority = Path::new(desktop["xauthority"].as_str().expect("a path"));
    assert_eq!(mode(authority), 0o600);
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", desktop["pid"])).expect("ours");
    let mut arguments = arguments.split('\0');
    arguments
        .find(|argument| *argument == "-rfbunixpath")
        .expect("RFB on a Unix socket");
    let socket = Path::new(arguments.next().expect("its path"));
    assert_eq!(mode(socket), 0o600);
    for folder in socket
        .ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(daemon.home().runtime()))
    {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    assert!(socket.starts_with(daemon.home().runtime()));
}
