// Real programs on the daemon's desktop: xterm, and xdotool and xclip to look from the other side.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "./eventually.mjs";

const run = promisify(execFile);
const PATIENCE_MS = 20_000;

export class Desktop {
  /** The daemon's desktop, started when it is not running. */
  static async of(daemon) {
    const { display, xauthority, width, height } = await daemon.post("/api/v0/desktop/start");
    const desktop = new Desktop();
    desktop.size = { width, height };
    desktop.environment = { ...process.env, DISPLAY: display, XAUTHORITY: xauthority ?? "" };
    desktop.directory = await mkdtemp(join(tmpdir(), "deskd-e2e-files-"));
    desktop.children = [];
    return desktop;
  }

  /** Runs a program on the desktop to its end; its standard output. */
  async run(program, ...options) {
    const { stdout } = await run(program, options, { env: this.environment, timeout: PATIENCE_MS });
    return stdout;
  }

  /**
   * An xterm that runs the shell script, with `$OUT` as its result file; resolves when its window is
   * visible and has the focus. `result()` waits for the file, which the script writes as `$OUT`.
   */
  async terminal(name, script, geometry = "80x24+100+100") {
    const out = join(this.directory, name);
    const body = `${script}\nmv "$OUT" "$DONE"`;
    const environment = { ...this.environment, LC_ALL: "C.UTF-8", OUT: `${out}.part`, DONE: out };
    const options = ["-u8", "-T", name, "-geometry", geometry, "-e", "sh", "-c", body];
    const child = spawn("xterm", options, { env: environment, stdio: "ignore" });
    this.children.push(child);
    const found = await this.run("xdotool", "search", "--sync", "--onlyvisible", "--name", `^${name}$`);
    const window = found.trim().split("\n")[0];
    await this.run("xdotool", "windowfocus", "--sync", window);
    return { window, result: () => eventually(() => readFile(out, "utf8"), PATIENCE_MS) };
  }

  /** An xterm that writes the line typed into it. */
  async lineReader(name) {
    return this.terminal(name, `IFS= read -r line; printf '%s' "$line" > "$OUT"`);
  }

  /** Where the pointer is, in pixels of the desktop. */
  async pointer() {
    const shell = await this.run("xdotool", "getmouselocation", "--shell");
    return { x: Number(/^X=(\d+)$/m.exec(shell)[1]), y: Number(/^Y=(\d+)$/m.exec(shell)[1]) };
  }

  /** Programs on the desktop paste this. */
  async expectClipboard(text) {
    await eventually(async () => {
      assert.equal(await this.run("xclip", "-selection", "clipboard", "-o"), text);
    }, PATIENCE_MS);
  }

  /** Copies the text in a program on the desktop. */
  async copy(text) {
    // xclip stays behind to serve the selection; its output must be closed, or nobody sees it end.
    const xclip = spawn("xclip", ["-quiet", "-selection", "clipboard", "-i"], {
      env: this.environment,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.children.push(xclip);
    xclip.stdin.end(text);
  }

  async close() {
    for (const child of this.children) {
      child.kill("SIGTERM");
    }
    await rm(this.directory, { recursive: true, force: true });
  }
}
