// The page without a mouse, and on a phone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE } from "./support/browser.mjs";
import { eventually } from "./support/eventually.mjs";
import { suite } from "./support/suite.mjs";

const LEAVE = "Control+Alt+Shift+KeyM";

suite("layout", (t) => {
  test("the keyboard alone reaches everything", async () => {
    const viewer = await t.viewer();
    const { keyboard } = viewer.page;
    const focused = () => viewer.page.evaluate(() => document.activeElement.id || document.activeElement.tagName);
    assert.equal(await focused(), "CANVAS", "typing goes to the desktop from the start");

    await keyboard.press(LEAVE);
    const order = [];
    for (let i = 0; i < 5; i += 1) {
      order.push(await focused());
      const outline = await viewer.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.equal(outline, "solid", `${order.at(-1)} shows its focus`);
      await keyboard.press("Tab");
    }
    assert.deepEqual(order, ["view-only", "clipboard", "keys", "full-screen", "options"]);
    assert.equal(await focused(), "CANVAS", "the desktop follows the bar");

    await keyboard.press(LEAVE);
    await keyboard.press("Tab");
    await keyboard.press("Enter");
    await viewer.page.locator("#clipboard-panel").waitFor();
    await keyboard.press("Escape");
    await viewer.page.locator("#clipboard-panel").waitFor({ state: "hidden" });
    assert.equal(await focused(), "clipboard");

    await keyboard.press("Shift+Tab");
    await keyboard.press("Space");
    await viewer.page.locator("#view-only[aria-checked=true]").waitFor();
    await viewer.connected();
    await viewer.close();
  });

  test("leaving the desktop by its shortcut leaves no key held there", async () => {
    const viewer = await t.viewer();
    await viewer.page.keyboard.press(LEAVE);
    await eventually(async () => {
      const { server } = await t.daemon.get("/api/v0/desktop/input");
      assert.deepEqual(server.keys, []);
    }, 10_000);
    await viewer.close();
  });

  test("every control has a name", async () => {
    const viewer = await t.viewer();
    const nameless = await viewer.page.evaluate(() =>
      [...document.querySelectorAll("button, input:not([hidden]), textarea, canvas")]
        .filter((control) => {
          const label = control.labels?.[0]?.textContent ?? control.getAttribute("aria-label") ?? control.textContent;
          return label.trim() === "";
        })
        .map((control) => control.outerHTML),
    );
    assert.deepEqual(nameless, []);
    await viewer.close();
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`a phone, ${colorScheme}: nothing sticks out, and fingers find the controls`, async () => {
      const viewer = await t.viewer({ viewport: PHONE, hasTouch: true, isMobile: true, colorScheme });
      const { page } = viewer;
      for (const panel of [null, "clipboard", "keys", "options"]) {
        if (panel !== null) {
          await page.tap(`#${panel}`);
          await page.locator(`#${panel}-panel`).waitFor();
        }
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= PHONE.width, `${panel ?? "the page"} is ${width} wide`);
        const small = await page.evaluate(() =>
          [...document.querySelectorAll("button")]
            .filter((button) => button.checkVisibility())
            .map((button) => ({ id: button.textContent.trim(), box: button.getBoundingClientRect() }))
            .filter(({ box }) => box.height < 44 || box.width < 44 || box.right > innerWidth)
            .map(({ id }) => id),
        );
        assert.deepEqual(small, []);
        await viewer.picture(`phone-${colorScheme}-${panel ?? "page"}`);
      }
      await viewer.close();
    });
  }

  test("a phone types by the key menu and clicks by a tap", async () => {
    const viewer = await t.viewer({ viewport: PHONE, hasTouch: true, isMobile: true });
    const reader = await t.desktop.lineReader("thumbed");
    await viewer.page.tap("#keys");
    await viewer.page.tap("#typing");
    await viewer.page.keyboard.insertText("Grüße 4");
    await viewer.page.keyboard.press("Backspace");
    await viewer.page.keyboard.insertText("2");
    await viewer.page.tap("button[data-key=Enter]");
    assert.equal(await reader.result(), "Grüße 2");

    const point = { x: 900, y: 500 };
    const pixel = t.desktop.size.width / PHONE.width;
    // The panel moves the desktop a moment later; a tap before that lands elsewhere.
    await eventually(async () => {
      const place = await viewer.place(t.desktop, point);
      await viewer.page.touchscreen.tap(place.x, place.y);
      const at = await t.desktop.pointer();
      assert.ok(Math.abs(at.x - point.x) <= pixel + 1 && Math.abs(at.y - point.y) <= pixel + 1, JSON.stringify(at));
    }, 10_000);
    await viewer.close();
  });

  test("a modifier held in the key menu goes with a key, and is released with the menu", async () => {
    const viewer = await t.viewer();
    // Ctrl+U empties the line: only what follows it is left.
    const reader = await t.desktop.lineReader("held");
    await viewer.page.keyboard.type("forgotten");
    await viewer.page.click("#keys");
    await viewer.page.click("button[data-hold=Control]");
    await viewer.page.locator("button[data-hold=Control][aria-pressed=true]").waitFor();
    await viewer.page.focus("#typing");
    await viewer.page.keyboard.insertText("u");
    await viewer.page.click("#keys");
    await viewer.canvas.focus();
    await viewer.page.keyboard.type("kept");
    await viewer.page.keyboard.press("Enter");
    assert.equal(await reader.result(), "kept");
    await viewer.close();
  });

  test("pictures of the page for people", async () => {
    for (const colorScheme of ["light", "dark"]) {
      const viewer = await t.viewer({ colorScheme });
      await viewer.picture(`window-${colorScheme}`);
      await viewer.close();
    }
  });
});
