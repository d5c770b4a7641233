// Starts the page: builds the parts and passes between them what each has to know.
import { Changes } from "./changes";
import { Clipboard } from "./clipboard";
import { Connection } from "./connection";
import { element } from "./dom";
import { Keys } from "./keys";
import { streamPath } from "./session";
import { loadQuality } from "./settings";
import { Status } from "./status";
import { Toolbar } from "./toolbar";

const query = new URLSearchParams(location.search);
const viewOnly = query.get("view_only") === "true";
const chat = query.get("chat");
const path = streamPath(chat);
const connection = new Connection(element("screen", HTMLElement), path, viewOnly, loadQuality(), {
  changed(state) {
    status.show(state, connection);
    keys.refresh();
    clipboard.refresh();
    toolbar.refresh();
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

if (chat !== null) {
  new Changes(chat);
  toolbar.showBeside("changes");
}
connection.connect();
