// Debian's Chromium, and a page that writes down whatever should not happen in it.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const PICTURES = process.env.E2E_PICTURES ?? join(tmpdir(), "deskd-e2e-pictures");
export const WINDOW = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

const OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat([
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
]);

/** A browser with a fresh profile, which Playwright makes and removes. */
export function startBrowser() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, headless: true, args: OPTIONS });
}

export class Viewer {
  /** A new visitor: own cookies, own storage. `address` is the page's, with or without token. */
  static async open(browser, address, options = {}) {
    const viewer = new Viewer();
    viewer.context = await browser.newContext({ viewport: WINDOW, ...options });
    viewer.origin = new URL(address).origin;
    viewer.page = await viewer.context.newPage();
    viewer.offences = [];
    viewer.#watch();
    await viewer.page.goto(address);
    return viewer;
  }

  #watch() {
    const offend = (what) => this.offences.push(what);
    const check = (address) => {
      const url = new URL(address);
      if (!["data:", "blob:"].includes(url.protocol) && url.host !== new URL(this.origin).host) {
        offend(`request to ${address}`);
      }
    };
    this.page.on("request", (request) => check(request.url()));
    this.page.on("websocket", (socket) => check(socket.url()));
    this.page.on("pageerror", (error) => offend(`error: ${error.message}`));
    this.page.on("console", (message) => {
      if (/Content Security Policy|Content-Security-Policy|violates/i.test(message.text())) {
        offend(`console: ${message.text()}`);
      }
    });
  }

  /** Waits until the page is in one of its connection's states. */
  async state(name) {
    await this.page.locator(`html[data-state="${name}"]`).waitFor({ state: "attached", timeout: 30_000 });
  }

  async connected() {
    await this.state("connected");
  }

  get canvas() {
    return this.page.locator("#screen canvas");
  }

  /** Position on the page of a pixel of the desktop. */
  async place(desktop, { x, y }) {
    const box = await this.canvas.boundingBox();
    return {
      x: box.x + ((x + 0.5) * box.width) / desktop.size.width,
      y: box.y + ((y + 0.5) * box.height) / desktop.size.height,
    };
  }

  /** Share of the pixels in which the canvas differs visibly from the daemon's own picture of the desktop. */
  async difference() {
    return this.page.evaluate(async () => {
      const answer = await fetch("/api/v0/desktop/screenshot?format=png&cursor=false");
      const shot = await createImageBitmap(await answer.blob());
      const canvas = document.querySelector("#screen canvas");
      if (canvas.width !== shot.width || canvas.height !== shot.height) {
        return 1;
      }
      const copy = new OffscreenCanvas(shot.width, shot.height).getContext("2d");
      copy.drawImage(shot, 0, 0);
      const theirs = copy.getImageData(0, 0, shot.width, shot.height).data;
      const ours = canvas.getContext("2d").getImageData(0, 0, shot.width, shot.height).data;
      let different = 0;
      for (let i = 0; i < ours.length; i += 4) {
        const apart = Math.max(...[0, 1, 2].map((channel) => Math.abs(ours[i + channel] - theirs[i + channel])));
        different += apart > 48 ? 1 : 0; // JPEG blurs edges; a missing window is far apart
      }
      return different / (ours.length / 4);
    });
  }

  /** Keeps a picture of the page for people to look at. */
  async picture(name) {
    await mkdir(PICTURES, { recursive: true });
    await this.page.screenshot({ path: join(PICTURES, `${name}.png`) });
  }

  /** Nothing left the origin, nothing broke the policy, nothing threw. */
  async close() {
    await this.context.close();
    assert.deepEqual(this.offences, []);
  }
}
