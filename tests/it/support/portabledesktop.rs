//! Programs that speak portabledesktop's command line: one that does what it should, and ones that do not.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Writes an executable script.
pub fn script(path: &Path, text: &str) -> PathBuf {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("writing a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("making it executable");
    path.to_owned()
}

/// One that starts a real Xvnc with RFB on a TCP port of loopback, a window manager, and names them.
pub fn good(folder: &Path) -> PathBuf {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its number").port();
    let fifo = folder.join("display");
    let text = format!(
        r#"[ "$1 $2 $3 $4" = "up --json --foreground --geometry" ] || exit 64
mkfifo {fifo}
Xvnc -displayfd 3 -rfbport {port} -localhost -SecurityTypes None -nolisten tcp -geometry "$5" -noreset 3>{fifo} &
server=$!
read number < {fifo}
DISPLAY=:$number openbox &
echo "{{\"display\":$number,\"vncPort\":{port},\"geometry\":\"$5\",\"xvncPid\":$server}}"
wait $server"#,
        fifo = fifo.display(),
    );
    script(&folder.join("portabledesktop"), &text)
}

/// One that writes this and then hangs.
pub fn saying(folder: &Path, line: &str) -> PathBuf {
    let text = format!("echo '{line}'\nexec sleep 1000");
    script(&folder.join("portabledesktop"), &text)
}
