// Takes a unified diff apart: by file, and within a file by line (the format of `git diff`, gitdiff "Generating patch text").

export type Kind = "added" | "removed" | "hunk" | "head" | "same";

/** What a line of a file's diff is; `head` are the lines in front of its first hunk. */
export function kindOf(line: string): Kind {
  switch (line[0]) {
    case "+":
      return "added";
    case "-":
      return "removed";
    case "@":
      return "hunk";
    case " ":
    case "\\":
      return "same";
    default:
      return "head";
  }
}

/** The diff of each file by its path; a file that has two has both. What belongs to no file is under the empty path. */
export function byFile(diff: string): Map<string, string[]> {
  const files = new Map<string, string[]>();
  let section: string[] = [];
  const finish = () => {
    if (section.length > 0) {
      const path = pathOf(section);
      files.set(path, [...(files.get(path) ?? []), ...section]);
    }
  };
  const lines = diff.split("\n");
  if (lines.at(-1) === "") {
    lines.pop();
  }
  for (const line of lines) {
    // A line of a file's content has a mark in front of it: this is none.
    if (line.startsWith("diff --git ")) {
      finish();
      section = [];
    }
    section.push(line);
  }
  finish();
  return files;
}

/** The lines that a person reads: without names, which stand above it, and ids. */
export function readable(section: readonly string[]): string[] {
  return section.filter((line, at) => at >= firstHunk(section) || !/^(diff --git |index |--- |\+\+\+ )/.test(line));
}

function firstHunk(section: readonly string[]): number {
  const at = section.findIndex((line) => line.startsWith("@@ "));
  return at === -1 ? section.length : at;
}

function pathOf(section: readonly string[]): string {
  const head = section.slice(0, firstHunk(section));
  for (const start of ["rename to ", "+++ ", "--- "]) {
    const line = head.find((line) => line.startsWith(start));
    const name = line === undefined ? "/dev/null" : unquote(line.slice(start.length).replace(/\t$/, ""));
    if (name !== "/dev/null") {
      return start === "rename to " ? name : name.slice(2);
    }
  }
  const first = section[0] ?? "";
  if (!first.startsWith("diff --git ")) {
    return "";
  }
  // Without a rename both names are the same: `a/NAME b/NAME`, or both in quotes.
  const names = first.slice("diff --git ".length);
  const half = names.slice((names.length + 1) / 2);
  return unquote(half).slice(2);
}

/** Undoes git's quoting of odd names: octal bytes and the escapes of C within double quotes. */
function unquote(name: string): string {
  if (!name.startsWith('"') || !name.endsWith('"')) {
    return name;
  }
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  for (const [piece] of name.slice(1, -1).matchAll(/\\[0-7]{3}|\\.|[^\\]+/gsu)) {
    if (/^\\[0-7]{3}$/.test(piece)) {
      bytes.push(parseInt(piece.slice(1), 8));
    } else if (piece.startsWith("\\")) {
      bytes.push(...encoder.encode(ESCAPES[piece[1] ?? ""] ?? piece.slice(1)));
    } else {
      bytes.push(...encoder.encode(piece));
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
