// Keeps one session to the desktop alive.
//
//   asking ──> connecting ──> connected
//     │            │              │        asking: may this browser come in?
//     ├─ 401 ──> locked           │        locked: a token is needed; the page's form leads out
//     └────────────┴──> waiting <─┘        waiting: holds the ending and the time of the next attempt
//                          └──> asking     stopped: a person disconnected; only connect() leads out
import { askAccess } from "./access";
import { Backoff } from "./backoff";
import { ending, type Ending } from "./reasons";
import { Session } from "./session";
import type { Quality } from "./settings";

export type State =
  | { readonly name: "asking" }
  | { readonly name: "connecting" }
  | { readonly name: "connected" }
  | { readonly name: "waiting"; readonly ending: Ending; readonly retryAt: number }
  | { readonly name: "locked" }
  | { readonly name: "stopped" };

export interface ConnectionEvents {
  changed(state: State): void;
  clipboard(text: string): void;
  named(name: string): void;
}

export class Connection {
  readonly #target: HTMLElement;
  readonly #events: ConnectionEvents;
  readonly #backoff = new Backoff();
  #state: State = { name: "stopped" };
  #session: Session | null = null;
  /** Counts attempts: an answer to an earlier one is ignored. */
  #attempt = 0;
  #timer = 0;
  #connectedAt = 0;
  readonly #path: string;
  #viewOnly: boolean;
  /** Whether the token of this browser may send input. */
  #mayControl = true;
  #quality: Quality;

  constructor(target: HTMLElement, path: string, viewOnly: boolean, quality: Quality, events: ConnectionEvents) {
    this.#target = target;
    this.#path = path;
    this.#viewOnly = viewOnly;
    this.#quality = quality;
    this.#events = events;
    window.addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") {
        this.#hurry();
      }
    });
  }

  get mayControl(): boolean {
    return this.#mayControl;
  }

  get viewOnly(): boolean {
    return this.#viewOnly || !this.#mayControl;
  }

  /** The session to send input to, or null when there is none or it may only look. */
  get control(): Session | null {
    return this.#state.name === "connected" && !this.viewOnly ? this.#session : null;
  }

  /** Connects now, whatever the state; an open session is replaced. */
  connect(): void {
    this.#drop();
    void this.#try(this.#attempt);
  }

  disconnect(): void {
    this.#drop();
    this.#enter({ name: "stopped" });
  }

  /** The server enforces view-only, so the switch takes a new connection. */
  setViewOnly(viewOnly: boolean): void {
    this.#viewOnly = viewOnly;
    if (this.#state.name !== "stopped" && this.#state.name !== "locked") {
      this.connect();
    }
  }

  setQuality(quality: Quality): void {
    this.#quality = quality;
    this.#session?.setQuality(quality);
  }

  async #try(attempt: number): Promise<void> {
    this.#enter({ name: "asking" });
    const access = await askAccess();
    if (attempt !== this.#attempt) {
      return;
    }
    switch (access.kind) {
      case "open":
        this.#mayControl = access.mayControl;
        return this.#open(attempt);
      case "locked":
        return this.#enter({ name: "locked" });
      case "refused":
        return this.#wait({ sentence: access.message, detail: "" });
      case "unreachable":
        return this.#wait({ sentence: "The server cannot be reached.", detail: "" });
    }
  }

  #open(attempt: number): void {
    this.#enter({ name: "connecting" });
    const ifCurrent = (act: () => void) => {
      if (attempt === this.#attempt) {
        act();
      }
    };
    this.#session = new Session(this.#target, this.#path, this.viewOnly, this.#quality, {
      connected: () => ifCurrent(() => this.#connected()),
      ended: (code, reason, opened) => ifCurrent(() => void this.#ended(attempt, code, reason, opened)),
      clipboard: (text) => ifCurrent(() => this.#events.clipboard(text)),
      named: (name) => ifCurrent(() => this.#events.named(name)),
    });
  }

  #connected(): void {
    this.#connectedAt = performance.now();
    this.#enter({ name: "connected" });
  }

  async #ended(attempt: number, code: number, reason: string, opened: boolean): Promise<void> {
    this.#session = null;
    if (this.#state.name === "connected") {
      this.#backoff.ended(performance.now() - this.#connectedAt);
    }
    if (opened) {
      return this.#wait(ending(code, reason));
    }
    // A browser hides why a handshake failed; the server tells it to those who ask.
    const access = await askAccess();
    if (attempt !== this.#attempt) {
      return;
    }
    if (access.kind === "locked") {
      return this.#enter({ name: "locked" });
    }
    const cause = access.kind === "open" ? access.lastError : null;
    this.#wait(
      cause === null
        ? { sentence: "The server did not accept the connection.", detail: ending(code, reason).detail }
        : { sentence: "The desktop did not start.", detail: cause },
    );
  }

  #wait(why: Ending): void {
    const wait = this.#backoff.take();
    this.#timer = setTimeout(() => this.connect(), wait);
    this.#enter({ name: "waiting", ending: why, retryAt: performance.now() + wait });
  }

  /** The network or the person is back: do not wait any longer. */
  #hurry(): void {
    if (this.#state.name === "waiting") {
      this.#backoff.reset();
      this.connect();
    }
  }

  #drop(): void {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#session?.close();
    this.#session = null;
  }

  #enter(state: State): void {
    this.#state = state;
    this.#events.changed(state);
  }
}
