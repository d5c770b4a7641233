// The clipboard, both ways, with text of every script.
import { test } from "node:test";
import { suite } from "./support/suite.mjs";

const TEXT = "naïve – Ω 漢字 кириллица 🎉\nsecond line\twith a tab";

suite("clipboard", (t) => {
  test("the panel sends text to the programs of the desktop", async () => {
    const viewer = await t.viewer();
    await viewer.page.click("#clipboard");
    await viewer.page.fill("#clipboard-text", TEXT);
    await viewer.page.click("#clipboard-send");
    await t.desktop.expectClipboard(TEXT);
    await viewer.close();
  });

  test("the panel shows what a program of the desktop copied", async () => {
    const viewer = await t.viewer();
    const text = `${TEXT}\nfrom the desktop`;
    await viewer.page.click("#clipboard");
    await t.desktop.copy(text);
    await viewer.page.waitForFunction((expected) => document.querySelector("#clipboard-text").value === expected, text);
    await viewer.picture("clipboard");
    await viewer.close();
  });

  test("a shared clipboard carries both ways by itself", async () => {
    const viewer = await t.viewer({ permissions: ["clipboard-read", "clipboard-write"] });
    await viewer.page.evaluate((text) => navigator.clipboard.writeText(text), `${TEXT} one`);
    await viewer.page.click("#clipboard");
    await viewer.page.check("#clipboard-share");
    await t.desktop.expectClipboard(`${TEXT} one`);

    await t.desktop.copy(`${TEXT} two`);
    await viewer.page.waitForFunction(
      async (expected) => (await navigator.clipboard.readText()) === expected,
      `${TEXT} two`,
    );

    // Copied elsewhere on the device, then back to this page.
    await viewer.page.evaluate(async (text) => {
      await navigator.clipboard.writeText(text);
      window.dispatchEvent(new FocusEvent("focus"));
    }, `${TEXT} three`);
    await t.desktop.expectClipboard(`${TEXT} three`);
    await viewer.close();
  });
});
