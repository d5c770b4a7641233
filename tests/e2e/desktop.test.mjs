// The desktop in the page: what it shows, what keys and pointer do, and what view-only keeps away.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "./support/eventually.mjs";
import { suite } from "./support/suite.mjs";

const LINE = "echo 'Tab & \"quotes\" ~ {} | $HOME' \\ #42";

suite("desktop", (t) => {
  test("the page shows what the daemon's picture shows", async () => {
    const viewer = await t.viewer();
    const window = await t.desktop.terminal("shown", `ls -l /usr/bin | head -40; IFS= read -r line; printf x > "$OUT"`);
    await eventually(async () => {
      const share = await viewer.difference();
      assert.ok(share < 0.002, `${share * 100} % of the pixels differ`);
    }, 20_000);
    await viewer.picture("desktop");
    await viewer.page.keyboard.press("Enter");
    assert.equal(await window.result(), "x");
    await viewer.close();
  });

  test("typing in the page reaches the program, exactly", async () => {
    const viewer = await t.viewer();
    const reader = await t.desktop.lineReader("typed");
    await viewer.page.keyboard.type(LINE);
    await viewer.page.keyboard.press("Enter");
    assert.equal(await reader.result(), LINE);
    await viewer.close();
  });

  test("letters of a keyboard that the desktop does not have arrive, too", async () => {
    const viewer = await t.viewer();
    const reader = await t.desktop.lineReader("foreign");
    const devtools = await viewer.context.newCDPSession(viewer.page);
    for (const [key, code] of [["ä", "Quote"], ["ß", "Minus"], ["я", "KeyZ"], ["€", "KeyE"]]) {
      for (const type of ["rawKeyDown", "keyUp"]) {
        await devtools.send("Input.dispatchKeyEvent", { type, key, code });
      }
    }
    await viewer.page.keyboard.press("Enter");
    assert.equal(await reader.result(), "äßя€");
    await viewer.close();
  });

  test("a click lands on the pixel", async () => {
    const viewer = await t.viewer();
    // The terminal reports the first press as ESC [ M button column row.
    const script = `stty raw -echo; printf '\\033[?9h'; dd bs=1 count=6 of="$OUT" 2>/dev/null`;
    const terminal = await t.desktop.terminal("clicked", script, "80x24+200+150");
    for (const point of [{ x: 5, y: 7 }, { x: 400, y: 300 }]) {
      const place = await viewer.place(t.desktop, point);
      await viewer.page.mouse.move(place.x, place.y);
      await eventually(async () => {
        const at = await t.desktop.pointer();
        assert.ok(Math.abs(at.x - point.x) <= 1 && Math.abs(at.y - point.y) <= 1, JSON.stringify({ at, point }));
      }, 10_000);
    }
    await viewer.page.mouse.down();
    await viewer.page.mouse.up();
    assert.match(await terminal.result(), /^\x1b\[M /, "button one was pressed in the window");
    await viewer.close();
  });

  test("view-only: the page sends nothing, and the server takes nothing", async () => {
    const viewer = await t.viewer();
    const reader = await t.desktop.lineReader("guarded");
    await viewer.page.click("#view-only");
    await viewer.page.getByText("View only", { exact: true }).first().waitFor();
    await viewer.connected();
    assert.equal(new URL(viewer.page.url()).searchParams.get("view_only"), "true");
    const before = await t.desktop.pointer();
    await viewer.canvas.click({ position: { x: 30, y: 30 } });
    await viewer.page.keyboard.type("from the page");
    await viewer.page.evaluate(typeAsSomeoneWhoDoesNotCare);
    assert.deepEqual(await t.desktop.pointer(), before);

    await viewer.page.click("#view-only");
    await viewer.page.locator("#view-only[aria-checked=false]").waitFor();
    await viewer.connected();
    await viewer.canvas.focus();
    await viewer.page.keyboard.type("allowed");
    await viewer.page.keyboard.press("Enter");
    assert.equal(await reader.result(), "allowed");
    await viewer.close();
  });
});

/** Runs in the page: a client that asks for view-only and then types and clicks all the same. */
async function typeAsSomeoneWhoDoesNotCare() {
  const { default: Rfb } = await import("/novnc/core/rfb.js");
  const address = new URL("/api/v0/desktop/vnc?view_only=true", location.href);
  address.protocol = "ws:";
  const socket = new WebSocket(address, ["binary"]);
  const target = document.body.appendChild(document.createElement("div"));
  const rfb = new Rfb(target, socket, { shared: true });
  await new Promise((resolve) => rfb.addEventListener("connect", resolve));
  for (const letter of "smuggled") {
    rfb.sendKey(letter.codePointAt(0), null);
  }
  rfb.clipboardPasteFrom("smuggled");
  rfb.disconnect(); // flushes what was sent, then closes
  await new Promise((resolve) => rfb.addEventListener("disconnect", resolve));
  target.remove();
}
