"""Writes the licences of every crate that is part of the program: licences.py FOLDER.

crates.txt has each text once, below the crates that it is for; libgit2 and zlib, which are C inside of crates, have files of their own.
"""

import collections
import json
import pathlib
import subprocess
import sys

NAMES = ("license", "licence", "copying", "copyright", "notice", "unlicense")


def linked():
    """Names and versions of the crates that are linked, not those that only build or test."""
    tree = ["cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(tree, check=True, capture_output=True, text=True).stdout.splitlines()
    return {tuple(line.split()[:2]) for line in lines if line}


def texts(folder):
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name.lower().startswith(NAMES):
            yield file.read_text(errors="replace").strip()


def main():
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wanted = linked()
    holders = collections.defaultdict(list)
    bare = []
    for package in json.loads(output)["packages"]:
        if package["name"] == "deskd" or (package["name"], f"v{package['version']}") not in wanted:
            continue
        folder = pathlib.Path(package["manifest_path"]).parent
        name = f"{package['name']} {package['version']} ({package['license'] or 'see its text'})"
        found = list(texts(folder))
        for text in found:
            holders[text].append(name)
        if not found:
            bare.append(name)
        for inside, file in (("libgit2", "COPYING"), ("src/zlib", "LICENSE")):
            source = folder / inside / file
            if source.is_file():
                place = target / pathlib.Path(inside).name
                place.mkdir(exist_ok=True)
                (place / file).write_bytes(source.read_bytes())
    line = "\n" + "-" * 80 + "\n"
    parts = ["\n".join(names) + "\n\n" + text + "\n" for text, names in holders.items()]
    if bare:
        parts.append("Without a text of their own, under the licence that they name:\n\n" + "\n".join(bare) + "\n")
    (target / "crates.txt").write_text(line.join(parts))


main()
