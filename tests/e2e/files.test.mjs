// Files of the sandbox in the browser: they are shown, and never run with the rights of the page.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { suite } from "./support/suite.mjs";

suite("files", (t) => {
  test("a page from the sandbox runs no script and reaches no route", async () => {
    const path = join(t.daemon.directory, "hostile.html");
    await writeFile(path, `<!doctype html><title>quiet</title><p>shown</p>
      <img src="/api/v0/version?from-image" /><form action="/api/v0/desktop/stop" method="post"><button>stop</button></form>
      <script>document.title = "loud"; fetch("/api/v0/desktop").then(() => (document.title = "louder"));</script>`);
    const viewer = await t.viewer();
    // What the policy stops is told as a request that failed, and never answered.
    const answered = [];
    viewer.page.on("response", (response) => answered.push(new URL(response.url()).pathname));
    await viewer.page.goto(`${t.daemon.url}/api/v0/read-file?path=${encodeURIComponent(path)}`);
    await viewer.page.getByText("shown").waitFor();
    assert.equal(await viewer.page.title(), "quiet");
    await viewer.page.click("button").catch(() => undefined);
    await viewer.page.waitForLoadState();
    assert.deepEqual(answered.filter((path) => path !== "/favicon.ico"), ["/api/v0/read-file"]);
    assert.equal((await t.daemon.get("/api/v0/desktop")).state, "running");
    // The policy's own refusals, which the page's console tells, are what is wanted here.
    viewer.offences = viewer.offences.filter((offence) => !/violates|Content.Security.Policy/i.test(offence));
    await viewer.close();
  });
});
