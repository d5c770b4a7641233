// What the page says and does when the desktop or the daemon goes away.
import assert from "node:assert/strict";
import { test } from "node:test";
import { suite } from "./support/suite.mjs";

suite("restart", (t) => {
  test("a killed X server is named, and the page is back on the new desktop", async () => {
    const viewer = await t.viewer();
    const { pid } = await t.daemon.get("/api/v0/desktop");
    await viewer.page.evaluate(writeDownStates);
    process.kill(pid, "SIGKILL");
    await viewer.page.waitForFunction(() => window.written.some(({ state }) => state === "waiting"));
    await viewer.connected();
    await viewer.canvas.waitFor();

    const written = await viewer.page.evaluate(() => window.written);
    const waiting = written.find(({ state }) => state === "waiting");
    assert.match(waiting.card, /Reconnecting/);
    assert.match(waiting.card, /The desktop is restarting\./);
    assert.match(waiting.card, /Close code 1012/);

    const after = await t.daemon.get("/api/v0/desktop");
    assert.notEqual(after.pid, pid);
    assert.equal(after.restarts, 1);
    await viewer.close();
  });

  test("a person can disconnect and connect again", async () => {
    const viewer = await t.viewer();
    await viewer.page.click("#options");
    await viewer.page.click("#disconnect");
    await viewer.state("stopped");
    await viewer.picture("disconnected");
    await viewer.page.getByRole("button", { name: "Connect", exact: true }).click();
    await viewer.connected();
    await viewer.close();
  });

  test("a network that goes away and comes back", async () => {
    const viewer = await t.viewer();
    await viewer.context.setOffline(true);
    await viewer.page.click("#view-only"); // a switch needs a new connection
    await viewer.state("waiting");
    await viewer.page.getByText("The server cannot be reached.").waitFor();
    await viewer.picture("unreachable");
    await viewer.context.setOffline(false);
    await viewer.connected();
    await viewer.close();
  });
});

/** Runs in the page: keeps each state with the words shown for it. */
function writeDownStates() {
  window.written = [];
  const write = () =>
    window.written.push({
      state: document.documentElement.dataset.state,
      card: document.querySelector("#card").textContent,
    });
  new MutationObserver(write).observe(document.documentElement, { attributeFilter: ["data-state"] });
}
