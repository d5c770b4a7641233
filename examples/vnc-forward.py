#!/usr/bin/env python3
"""Lets a VNC program see the desktop: forwards one local port to the daemon's WebSocket (RFC 6455).

  examples/vnc-forward.py [PORT]            then: xtigervncviewer 127.0.0.1::PORT   (5901 by default; 0 picks one)

DESKD_URL (http://127.0.0.1:7380) and DESKD_TOKEN_FILE (the daemon's own) say where and as whom.
Whoever connects to the port has the desktop without a token, so it listens on loopback only.
"""

import base64
import os
import pathlib
import socket
import struct
import sys
import threading
import urllib.parse

STATE = pathlib.Path(os.environ.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local/state")
URL = urllib.parse.urlsplit(os.environ.get("DESKD_URL", "http://127.0.0.1:7380"))
TOKEN = pathlib.Path(os.environ.get("DESKD_TOKEN_FILE", STATE / "deskd/token")).read_text().strip()

BINARY, CLOSE, PING, PONG = 2, 8, 9, 10


def frame(opcode, payload):
    """One masked frame; the mask is zero, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


def open_websocket():
    """The socket and its buffered reader, behind the handshake."""
    desktop = socket.create_connection((URL.hostname, URL.port or 80))
    desktop.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    desktop.sendall(
        f"GET /api/v0/desktop/vnc HTTP/1.1\r\nHost: {URL.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: binary\r\n\r\n".encode()
    )
    reader = desktop.makefile("rb")
    status = reader.readline().decode().strip()
    while reader.readline() not in (b"\r\n", b""):
        pass
    if " 101 " not in f"{status} ":
        raise SystemExit(f"deskd answered: {status}")
    return desktop, reader


def read_frame(reader):
    """Opcode and payload; servers do not mask."""
    first, size = struct.unpack("!BB", reader.read(2))
    if size == 126:
        (size,) = struct.unpack("!H", reader.read(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", reader.read(8))
    return first & 0x0F, reader.read(size)


def carry(viewer):
    """One VNC connection to its end."""
    desktop, reader = open_websocket()
    sending = threading.Lock()

    def send(opcode, payload):
        with sending:
            desktop.sendall(frame(opcode, payload))

    def upwards():
        try:
            while data := viewer.recv(65536):
                send(BINARY, data)
            send(CLOSE, struct.pack("!H", 1000))
        except OSError:
            pass  # the other direction says why

    threading.Thread(target=upwards, daemon=True).start()
    try:
        while True:
            opcode, payload = read_frame(reader)
            if opcode == PING:
                send(PONG, payload)
            elif opcode == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                print(f"closed: {code} {payload[2:].decode()}", flush=True)
                return
            elif opcode != PONG:
                viewer.sendall(payload)
    except (OSError, struct.error):
        print("the connection ended", flush=True)
    finally:
        viewer.close()
        desktop.close()


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5901
    listener = socket.create_server(("127.0.0.1", port))
    print(f"forwarding 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        viewer, _ = listener.accept()
        viewer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=carry, args=(viewer,), daemon=True).start()


if __name__ == "__main__":
    main()
