// One RFB connection over one WebSocket. We create the socket ourselves because noVNC does not tell its close code.
import RFB from "@novnc/novnc";
import type { Quality } from "./settings";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The desktop, or the desktop as a chat's: then the list of viewers names the chat. */
export function streamPath(chat: string | null): string {
  return chat !== null && UUID.test(chat) ? `/api/experimental/chats/${chat}/desktop` : "/api/v0/desktop/vnc";
}

/** A desktop that has to be started first may take 15 s; what is silent for longer is broken. */
const HANDSHAKE_MS = 30_000;

/** noVNC's levels: picture quality 0-9, compression effort 0-9. */
const LEVELS: Readonly<Record<Quality, readonly [number, number]>> = {
  sharp: [9, 1],
  balanced: [6, 2],
  light: [2, 7],
};

export interface SessionEvents {
  connected(): void;
  /** Exactly once, unless `close` was called. `opened`: the server had accepted the WebSocket. */
  ended(code: number, reason: string, opened: boolean): void;
  clipboard(text: string): void;
  named(name: string): void;
}

export class Session {
  readonly rfb: RFB;
  readonly #target: HTMLElement;
  readonly #socket: WebSocket;
  readonly #events: SessionEvents;
  readonly #viewOnly: boolean;
  readonly #handshake: number;
  #over = false;
  #opened = false;
  #failure = "";

  constructor(target: HTMLElement, path: string, viewOnly: boolean, quality: Quality, events: SessionEvents) {
    this.#target = target;
    this.#events = events;
    this.#viewOnly = viewOnly;
    const url = new URL(path, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (viewOnly) {
      url.searchParams.set("view_only", "true");
    }
    this.#socket = new WebSocket(url, ["binary"]);
    this.#socket.addEventListener("open", () => (this.#opened = true));
    this.#socket.addEventListener("close", (event) => this.#end(event.code, event.reason));
    this.rfb = new RFB(target, this.#socket, { shared: true });
    this.rfb.viewOnly = true;
    this.rfb.scaleViewport = true;
    this.rfb.showDotCursor = true;
    this.rfb.background = "transparent";
    this.setQuality(quality);
    this.#listen();
    this.#handshake = setTimeout(() => {
      this.#end(1002, "the desktop did not answer");
      this.rfb.disconnect();
    }, HANDSHAKE_MS);
  }

  setQuality(quality: Quality): void {
    [this.rfb.qualityLevel, this.rfb.compressionLevel] = LEVELS[quality];
  }

  /** Ends the connection; no event comes any more. */
  close(): void {
    this.#over = true;
    clearTimeout(this.#handshake);
    this.rfb.disconnect();
  }

  #listen(): void {
    this.rfb.addEventListener("connect", () => {
      clearTimeout(this.#handshake);
      this.#prepareCanvas();
      // The desktop's first message says how it takes keys. A key pressed before it and released after it
      // would be told in two ways, and stay held there: nobody may type until it has been read.
      this.#socket.addEventListener("message", () => this.#ready(), { once: true });
    });
    this.rfb.addEventListener("securityfailure", (event) => {
      this.#failure = event.detail.reason ?? "the desktop refused the viewer";
    });
    this.rfb.addEventListener("disconnect", (event) => {
      if (!event.detail.clean) {
        this.#end(1002, this.#failure || "the desktop's answer was not understood");
      }
    });
    this.rfb.addEventListener("clipboard", (event) => this.#events.clipboard(event.detail.text));
    this.rfb.addEventListener("desktopname", (event) => this.#events.named(event.detail.name));
  }

  #ready(): void {
    if (!this.#over) {
      this.rfb.viewOnly = this.#viewOnly;
      this.#events.connected();
    }
  }

  /** noVNC leaves its canvas out of the Tab order and without a name; and keys held when it loses focus stay held. */
  #prepareCanvas(): void {
    const canvas = this.#target.querySelector("canvas");
    if (canvas === null) {
      return;
    }
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "Desktop");
    canvas.setAttribute("aria-describedby", "leave-hint");
    // noVNC releases all keys when the window loses focus: tell it that this has happened.
    canvas.addEventListener("blur", () => window.dispatchEvent(new FocusEvent("blur")));
  }

  #end(code: number, reason: string): void {
    clearTimeout(this.#handshake);
    if (!this.#over) {
      this.#over = true;
      this.#events.ended(code, reason, this.#opened);
    }
  }
}
