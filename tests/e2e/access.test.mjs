// Coming in: the token, the redirect, and the policy that keeps the page on its own origin.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Viewer } from "./support/browser.mjs";
import { suite } from "./support/suite.mjs";

suite("access", (t) => {
  test("an address with the token leads to the desktop, without the token in the address", async () => {
    const viewer = await t.viewer();
    assert.equal(viewer.page.url(), `${t.daemon.url}/`);
    const cookies = await viewer.context.cookies();
    assert.ok(cookies.length > 0 && cookies.every((cookie) => cookie.httpOnly && cookie.sameSite === "Strict"));
    await viewer.page.reload();
    await viewer.connected();
    await viewer.close();
  });

  test("without the token the page asks for it, refuses a wrong one, and opens with the right one", async () => {
    const viewer = await Viewer.open(t.browser, `${t.daemon.url}/`);
    await viewer.state("locked");
    await viewer.picture("locked");
    assert.equal(await viewer.page.evaluate(() => document.activeElement.id), "token");
    await viewer.page.keyboard.type("not the token");
    await viewer.page.keyboard.press("Enter");
    await viewer.page.getByText("This is not the token.").waitFor();
    assert.equal(viewer.page.url(), `${t.daemon.url}/`, "a wrong token is never put into an address");
    await viewer.page.fill("#token", t.daemon.token);
    await viewer.page.keyboard.press("Enter");
    await viewer.connected();
    assert.equal(viewer.page.url(), `${t.daemon.url}/`);
    await viewer.close();
  });

  test("a link that may only look says so, and leaves no choice", async () => {
    const made = await fetch(`${t.daemon.url}/api/v0/tokens`, {
      method: "POST",
      headers: { Authorization: `Bearer ${t.daemon.token}`, "Content-Type": "application/json" },
      body: JSON.stringify({ scopes: ["desktop:view"] }),
    });
    assert.equal(made.status, 201);
    const { token } = await made.json();
    const viewer = await Viewer.open(t.browser, `${t.daemon.url}/?token=${token}`);
    await viewer.connected();
    assert.equal(await viewer.page.textContent("#state"), "View only");
    const choice = viewer.page.locator("#view-only");
    assert.equal(await choice.getAttribute("aria-checked"), "true");
    assert.ok(await choice.isDisabled());
    assert.equal(await choice.getAttribute("title"), "This link may only look");
    await viewer.close();
  });

  test("the policy lets no request out of the origin", async () => {
    const viewer = await t.viewer();
    const outcome = await viewer.page.evaluate(async () => {
      const blocked = new Promise((resolve) => {
        document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
      });
      // Port 9 of this machine: nothing listens there, and nothing must be asked.
      const refused = await fetch("http://127.0.0.1:9/").then(() => false, () => true);
      return { refused, directive: await blocked };
    });
    assert.deepEqual(outcome, { refused: true, directive: "connect-src" });
    viewer.offences = viewer.offences.filter((offence) => !offence.includes("127.0.0.1:9/"));
    await viewer.close();
  });

  test("noVNC is served with its licences", async () => {
    for (const path of ["LICENSE.txt", "NOTICE.txt", "docs/LICENSE.MPL-2.0", "vendor/pako/LICENSE"]) {
      const answer = await fetch(`${t.daemon.url}/novnc/${path}`);
      assert.equal(answer.status, 200, path);
      assert.match(answer.headers.get("content-type"), /^text\/plain/, path);
    }
  });
});
