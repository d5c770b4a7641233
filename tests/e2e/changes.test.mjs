// The repositories of a chat beside its desktop, live.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { PHONE, Viewer } from "./support/browser.mjs";
import { eventually } from "./support/eventually.mjs";
import { suite } from "./support/suite.mjs";

const run = promisify(execFile);

suite("changes", (t) => {
  /** A repository with one commit, that a new chat has worked in. */
  async function worked(name) {
    const root = join(t.daemon.directory, name);
    const chat = randomUUID();
    await mkdir(root);
    const git = (...args) =>
      run("git", ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main", ...args], { cwd: root });
    await git("init", "--quiet");
    await writeFile(join(root, "notes.txt"), "first line\nsecond line\n");
    await git("add", ".");
    await git("commit", "--quiet", "-m", "Begin");
    await write(chat, join(root, "made by the chat.txt"), "hello\n");
    return { root, chat, git };
  }

  /** Writes a file as a tool of the chat does. */
  async function write(chat, path, text) {
    const answer = await fetch(`${t.daemon.url}/api/v0/write-file?path=${encodeURIComponent(path)}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${t.daemon.token}`, "Coder-Chat-Id": chat },
      body: text,
    });
    assert.equal(answer.status, 200, await answer.text());
  }

  async function open(chat, options) {
    const viewer = await Viewer.open(t.browser, `${t.daemon.page}&chat=${chat}`, options);
    await viewer.connected();
    return viewer;
  }

  test("without a chat there is nothing of it", async () => {
    const viewer = await t.viewer();
    assert.equal(await viewer.page.locator("#changes").isVisible(), false);
    await viewer.close();
  });

  test("what an editor on the desktop saves shows while one looks", async () => {
    const { root, chat } = await worked("edited");
    const viewer = await open(chat);
    // The desktop came by the chat's route.
    const desktop = await fetch(`${t.daemon.url}/api/v0/desktop`, { headers: { Authorization: `Bearer ${t.daemon.token}` } });
    assert.ok((await desktop.json()).viewers.some((one) => one.chat_id === chat));
    await viewer.page.locator(".repository h2", { hasText: "edited" }).waitFor();
    await viewer.page.locator(".path", { hasText: "made by the chat.txt" }).waitFor();
    assert.equal(await viewer.page.textContent("#changes-count"), "1");
    // Tells when the line came onto the page, by the clock that the file's time is of.
    await viewer.page.evaluate(() => {
      new MutationObserver((_, observer) => {
        if ([...document.querySelectorAll(".diff .added")].some((line) => line.textContent === "+saved in vim")) {
          window.shownAt = Date.now();
          observer.disconnect();
        }
      }).observe(document.querySelector("#changes-list"), { subtree: true, childList: true });
    });
    const file = join(root, "notes.txt");
    const { result } = await t.desktop.terminal("editor", `vim -u NONE -N '${file}'; echo done > "$OUT"`);
    await viewer.canvas.focus();
    await viewer.page.keyboard.type("Gosaved in vim");
    await viewer.page.keyboard.press("Escape");
    await viewer.page.keyboard.type(":wq");
    await viewer.page.keyboard.press("Enter");
    await result();
    const shownAt = await eventually(async () => {
      const at = await viewer.page.evaluate(() => window.shownAt);
      assert.ok(at, await viewer.page.textContent("#changes-list"));
      return at;
    }, 20_000);
    const took = shownAt - (await stat(file)).mtimeMs;
    console.log(`from the saved file to the page: ${took.toFixed(0)} ms`);
    assert.equal(await viewer.page.textContent("#changes-count"), "2");
    await viewer.picture("changes");
    await viewer.close();
  });

  test("a commit empties it, and a repository that goes away goes", async () => {
    const { root, chat, git } = await worked("committed");
    const viewer = await open(chat);
    await viewer.page.locator(".path", { hasText: "made by the chat.txt" }).waitFor();
    await git("add", ".");
    await git("commit", "--quiet", "-m", "Go on");
    await viewer.page.getByText("Nothing changed.").waitFor();
    assert.equal(await viewer.page.textContent("#changes-count"), "");
    await run("rm", ["-rf", root]);
    await viewer.page.getByText("No repository yet").waitFor();
    await viewer.close();
  });

  test("large diffs are folded, and a phone reads them", async () => {
    const { root, chat } = await worked("large");
    const lines = Array.from({ length: 3_000 }, (_, number) => `line ${number}`);
    await write(chat, join(root, "long.txt"), `${lines.join("\n")}\n`);
    await write(chat, join(root, "<img src=x onerror=alert(1)>.txt"), "<script>alert(1)</script>\n");
    const viewer = await open(chat, { viewport: PHONE, hasTouch: true, isMobile: true });
    await viewer.page.tap("#changes");
    const long = viewer.page.locator("details", { hasText: "long.txt" });
    await long.waitFor();
    assert.equal(await long.getAttribute("open"), null);
    await long.locator("summary").tap();
    await long.getByText("+line 0", { exact: true }).waitFor();
    assert.equal(await long.locator(".added").count(), 998, "the first thousand lines, of which two tell mode and place");
    await long.getByRole("button", { name: "Show more" }).tap();
    await viewer.page.getByText("+line 1500", { exact: true }).waitFor();
    await viewer.page.getByText("+<script>alert(1)</script>", { exact: true }).waitFor();
    const wide = await viewer.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.equal(wide, false, "nothing hangs over the side of the phone");
    await viewer.picture("changes-phone");
    await viewer.close();
  });
});
