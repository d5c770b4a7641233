// One daemon, one desktop and one browser for the tests of a file.
import { after, before, describe } from "node:test";
import { startBrowser, Viewer } from "./browser.mjs";
import { Daemon } from "./daemon.mjs";
import { Desktop } from "./desktop.mjs";

/** `tests` gets an object whose `daemon`, `desktop` and `browser` are there when its tests run. */
export function suite(name, tests) {
  describe(name, { timeout: 180_000 }, () => {
    const parts = {
      /** A visitor with the token, connected. */
      async viewer(options) {
        const viewer = await Viewer.open(parts.browser, parts.daemon.page, options);
        await viewer.connected();
        return viewer;
      },
    };
    before(async () => {
      parts.daemon = await Daemon.start();
      parts.desktop = await Desktop.of(parts.daemon);
      parts.browser = await startBrowser();
    });
    after(async () => {
      await parts.browser?.close();
      await parts.desktop?.close();
      await parts.daemon?.stop();
    });
    tests(parts);
  });
}
