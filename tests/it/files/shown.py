"""Shows one directory at another by FUSE (linux/fuse.h), read only, and remembers nothing of it."""

import ctypes
import os
import struct
import sys

behind, front = sys.argv[1:]
device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other"
if libc.mount(b"shown", front.encode(), b"fuse.shown", 0, options.encode()):
    sys.exit(os.strerror(ctypes.get_errno()))
paths = {1: behind}


def attributes(stat, node):
    times = [int(stat.st_atime), int(stat.st_mtime), int(stat.st_ctime)]
    nanos = [stat.st_atime_ns % 10**9, stat.st_mtime_ns % 10**9, stat.st_ctime_ns % 10**9]
    head = struct.pack("<QQQQQQ", node, stat.st_size, 0, *times)
    owner = [stat.st_mode, stat.st_nlink, stat.st_uid, stat.st_gid]
    return head + struct.pack("<10I", *nanos, *owner, 0, 4096, 0)


def entry(path):
    stat = os.lstat(path)
    node = stat.st_ino + 1
    paths[node] = path
    return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + attributes(stat, node)


def names(path, offset, size):
    out = b""
    for index, name in enumerate(sorted(os.listdir(path))):
        stat, raw = os.lstat(os.path.join(path, name)), name.encode()
        one = struct.pack("<QQII", stat.st_ino + 1, index + 1, len(raw), stat.st_mode >> 12) + raw
        one += b"\0" * (-len(one) % 8)
        if index >= offset:
            if len(out) + len(one) > size:
                break
            out += one
    return out


def answer(opcode, node, body):
    path = paths.get(node, behind)
    if opcode == 26:  # INIT
        return struct.pack("<IIIIHHIIHHI7I", 7, 31, 65536, 0, 0, 0, 65536, 1, 0, 0, 0, *[0] * 7)
    if opcode == 1:  # LOOKUP
        return entry(os.path.join(path, body.rstrip(b"\0").decode()))
    if opcode == 3:  # GETATTR
        return struct.pack("<QII", 0, 0, 0) + attributes(os.lstat(path), node)
    if opcode in (14, 27):  # OPEN, OPENDIR
        return struct.pack("<QII", 0, 0, 0)
    if opcode == 28:  # READDIR
        _, offset, size = struct.unpack_from("<QQI", body)
        return names(path, offset, size)
    if opcode == 15:  # READ
        _, offset, size = struct.unpack_from("<QQI", body)
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)
    if opcode in (18, 29, 25, 34):  # RELEASE, RELEASEDIR, FLUSH, ACCESS
        return b""
    if opcode == 17:  # STATFS
        return struct.pack("<5Q4I24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
    raise OSError(38, "not here")


print("ready", flush=True)
while True:
    try:
        request = os.read(device, 1 << 20)
    except OSError:
        break
    _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
    if opcode in (2, 42):  # FORGET, BATCH_FORGET
        continue
    try:
        body, error = answer(opcode, node, request[40:]), 0
    except OSError as failed:
        body, error = b"", -failed.errno
    try:
        os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
    except OSError:
        pass
