// Starts the real daemon with directories of its own, and talks to its HTTP interface.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BUILT = fileURLToPath(new URL("../../../target/debug/deskd", import.meta.url));
const READY = /^deskd listening on (http:\S+)/;

export class Daemon {
  /** Starts the program named by E2E_DAEMON, or the debug build, and waits for its ready line. */
  static async start() {
    const daemon = new Daemon();
    daemon.directory = await mkdtemp(join(tmpdir(), "deskd-e2e-"));
    const state = join(daemon.directory, "state");
    const runtime = join(daemon.directory, "run");
    const program = process.env.E2E_DAEMON ?? BUILT;
    const options = ["serve", "--listen", "127.0.0.1:0", "--state-dir", state, "--runtime-dir", runtime];
    daemon.child = spawn(program, options, { env: plainEnvironment(), stdio: ["ignore", "pipe", "pipe"] });
    daemon.log = "";
    daemon.child.stderr.on("data", (text) => (daemon.log = (daemon.log + text).slice(-20_000)));
    daemon.ended = new Promise((resolve) => {
      daemon.child.on("exit", (code, signal) => resolve({ code, signal }));
      daemon.child.on("error", (error) => resolve({ error }));
    });
    daemon.url = await Promise.race([readyAddress(daemon.child), daemon.ended]);
    assert.equal(typeof daemon.url, "string", `${program} did not get ready: ${JSON.stringify(daemon.url)}\n${daemon.log}`);
    daemon.token = (await readFile(join(state, "token"), "utf8")).trim();
    return daemon;
  }

  /** The page's address with the token, as the daemon prints it for a person. */
  get page() {
    return `${this.url}/?token=${encodeURIComponent(this.token)}`;
  }

  async get(path) {
    return this.#ask("GET", path);
  }

  async post(path) {
    return this.#ask("POST", path);
  }

  async #ask(method, path) {
    const answer = await fetch(this.url + path, { method, headers: { Authorization: `Bearer ${this.token}` } });
    assert.equal(answer.status, 200, `${method} ${path}: ${await answer.clone().text()}`);
    return answer.json();
  }

  /** Asks it to end, and expects it to end well. */
  async stop() {
    this.child.kill("SIGTERM");
    const ending = await this.ended;
    await rm(this.directory, { recursive: true, force: true });
    assert.deepEqual(ending, { code: 0, signal: null }, this.log);
  }
}

/** Without the settings of a daemon that the person at this machine may have. */
function plainEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("DESKD_")));
}

async function readyAddress(child) {
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = READY.exec(line);
    if (ready !== null) {
      child.stdout.resume(); // nobody reads on: the pipe must not fill
      return ready[1];
    }
  }
  await once(child, "close");
  return undefined;
}
