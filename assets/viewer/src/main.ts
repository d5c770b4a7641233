// Starts the page: builds the parts and passes between them what each has to know.
import { Clipboard } from "./clipboard";
import { Connection } from "./connection";
import { element } from "./dom";
import { Keys } from "./keys";
import { loadQuality } from "./settings";
import { Status } from "./status";
import { Toolbar } from "./toolbar";

const viewOnly = new URLSearchParams(location.search).get("view_only") === "true";
const connection = new Connection(element("screen", HTMLElement), viewOnly, loadQuality(), {
  changed(state) {
    status.show(state, connection);
    keys.refresh();
    clipboard.refresh();
    if (state.name === "connected") {
      toolbar.enterDesktop();
    }
  },
  clipboard: (text) => clipboard.fromDesktop(text),
  named: (name) => (document.title = name === "" ? "deskd" : `${name} – deskd`),
});
const status = new Status(() => connection.connect());
const keys = new Keys(connection);
const clipboard = new Clipboard(connection);
const toolbar = new Toolbar(connection, () => keys.releaseAll());

connection.connect();
