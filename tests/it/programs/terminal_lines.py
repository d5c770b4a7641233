"""Runs in a terminal: the argument is a pipe. Reads bytes as the terminal sends them, and with each Return writes what
came since the last one into the pipe as one line of JSON. The first line says that it reads."""

import json
import os
import sys
import tty

pipe = open(sys.argv[1], "w", encoding="utf-8", buffering=1)
# Without this a line ends at 4095 bytes, and control characters are commands.
tty.setraw(0)
pipe.write(json.dumps("ready") + "\n")
line = b""
while chunk := os.read(0, 65536):
    # What a person would see; it makes the terminal draw while it reads.
    os.write(1, chunk.replace(b"\r", b"\r\n"))
    *lines, line = (line + chunk).split(b"\r")
    for done in lines:
        pipe.write(json.dumps(done.decode("utf-8", "replace")) + "\n")
