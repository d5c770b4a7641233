// Runs every *.test.mjs here, one after another: each has a daemon, a desktop and a browser of its own.
import { readdir } from "node:fs/promises";

for (const file of (await readdir(import.meta.dirname ?? new URL(".", import.meta.url))).sort()) {
  if (file.endsWith(".test.mjs")) {
    await import(`./${file}`);
  }
}
