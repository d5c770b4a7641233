#!/usr/bin/env python3
"""Gives a task to a model of Anthropic's, with the desktop of deskd as its computer.

  agent.py 'Open a terminal and find out how long this machine has been up.'

DESKD_URL (http://127.0.0.1:7380) and DESKD_TOKEN_FILE (the daemon's own) say where and as whom.
ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL are the vendor's own; ANTHROPIC_MODEL picks the model.
"""

import json
import os
import pathlib
import sys
import urllib.error
import urllib.request

import anthropic

STATE = pathlib.Path(os.environ.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local/state")
URL = os.environ.get("DESKD_URL", "http://127.0.0.1:7380").rstrip("/")
TOKEN_FILE = pathlib.Path(os.environ.get("DESKD_TOKEN_FILE", STATE / "deskd/token"))
MODEL = os.environ.get("ANTHROPIC_MODEL", "claude-opus-4-8")

SIZE = "width=1280"  # what the model sees; the height follows the desktop's
TURNS = 100
PATIENCE = 450  # seconds; a model may wait for 300 in one call

# No proxy: the token is for the daemon alone.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def deskd(path, body=None):
    """What deskd answers, and the headers; ends the program when it refuses."""
    data = json.dumps(body).encode() if body else None
    try:
        token = TOKEN_FILE.read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with DIRECT.open(urllib.request.Request(URL + path, data, headers), timeout=PATIENCE) as answer:
            return json.load(answer), answer.headers
    except urllib.error.HTTPError as refusal:
        sys.exit(f"deskd answered {refusal.code}: {refusal.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"deskd at {URL}: {error}")


def main():
    task = " ".join(sys.argv[1:]) or sys.exit(__doc__.strip())
    tool, headers = deskd(f"/api/v0/computer/tools?vendor=anthropic&{SIZE}")
    vendor = anthropic.Anthropic()
    messages = [{"role": "user", "content": task}]
    for _ in range(TURNS):
        reply = vendor.beta.messages.create(
            model=MODEL,
            max_tokens=8192,
            betas=[headers["X-Deskd-Anthropic-Beta"]],
            tools=[tool],
            cache_control={"type": "ephemeral"},  # the pictures so far are not read anew in every turn
            messages=messages,
        )
        for block in reply.content:
            if block.type == "text":
                print(block.text, flush=True)
        if reply.stop_reason == "end_turn":
            return
        if reply.stop_reason != "tool_use":
            sys.exit(f"the model stopped: {reply.stop_reason}")
        calls = [block.to_dict() for block in reply.content if block.type == "tool_use"]
        results = [deskd(f"/api/v0/computer/anthropic?{SIZE}", call)[0] for call in calls]
        messages += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": results}]
    sys.exit(f"not done after {TURNS} turns")


if __name__ == "__main__":
    try:
        main()
    except anthropic.AnthropicError as error:
        sys.exit(f"the model's API: {error}")
