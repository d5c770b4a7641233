// Shows the connection's state: the dot and word in the bar, the card over the desktop, the token form.
import { askAccess } from "./access";
import type { Connection, State } from "./connection";
import { element } from "./dom";

const WORDS: Readonly<Record<State["name"], string>> = {
  asking: "Connecting",
  connecting: "Connecting",
  connected: "Connected",
  waiting: "Reconnecting",
  locked: "Locked",
  stopped: "Disconnected",
};

/** A connection that takes longer than this is most likely a desktop that has to start. */
const SLOW_MS = 1_500;

export class Status {
  readonly #root = document.documentElement;
  readonly #word = element("state", HTMLElement);
  readonly #card = element("card", HTMLElement);
  readonly #title = element("card-title", HTMLElement);
  readonly #sentence = element("card-sentence", HTMLElement);
  readonly #detail = element("card-detail", HTMLElement);
  readonly #button = element("card-button", HTMLButtonElement);
  readonly #lock = element("lock", HTMLFormElement);
  readonly #token = element("token", HTMLInputElement);
  #timer = 0;
  /** The last ending stays readable while the next attempt runs. */
  #ending: { sentence: string; detail: string } | null = null;

  constructor(connect: () => void) {
    this.#button.addEventListener("click", connect);
    this.#lock.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#unlock();
    });
  }

  show(state: State, connection: Connection): void {
    clearTimeout(this.#timer);
    this.#root.dataset["state"] = state.name;
    this.#word.textContent =
      state.name === "connected" && connection.viewOnly ? "View only" : WORDS[state.name];
    this.#lock.hidden = state.name !== "locked";
    this.#card.hidden = state.name === "connected" || state.name === "locked";
    switch (state.name) {
      case "asking":
      case "connecting":
        if (this.#ending === null) {
          this.#write("Connecting …", "", "");
        }
        if (state.name === "connecting") {
          this.#timer = setTimeout(() => this.#write("Connecting …", "The desktop is starting.", ""), SLOW_MS);
        }
        break;
      case "waiting":
        this.#ending = state.ending;
        this.#countDown(state.retryAt);
        break;
      case "connected":
        this.#ending = null;
        break;
      case "locked":
        this.#token.focus();
        break;
      case "stopped":
        this.#write("Disconnected", "You closed the connection. The desktop goes on.", "");
        break;
    }
    this.#button.textContent = state.name === "stopped" ? "Connect" : "Reconnect now";
    this.#button.hidden = state.name !== "waiting" && state.name !== "stopped";
  }

  #countDown(retryAt: number): void {
    const seconds = Math.ceil((retryAt - performance.now()) / 1000);
    const when = seconds > 0 ? `Reconnecting in ${seconds} s` : "Reconnecting …";
    this.#write(when, this.#ending?.sentence ?? "", this.#ending?.detail ?? "");
    if (seconds > 0) {
      this.#timer = setTimeout(() => this.#countDown(retryAt), 250);
    }
  }

  #write(title: string, sentence: string, detail: string): void {
    this.#title.textContent = title;
    // Unchanged text is left alone, so that a screen reader says each sentence once.
    for (const [target, text] of [[this.#sentence, sentence], [this.#detail, detail]] as const) {
      if (target.textContent !== text) {
        target.textContent = text;
      }
      target.hidden = text === "";
    }
  }

  /** A wrong token is refused here, so that it never stands in an address. */
  async #unlock(): Promise<void> {
    const token = this.#token.value.trim();
    const answer = element("lock-answer", HTMLElement);
    answer.textContent = "";
    const access = await askAccess(token);
    if (access.kind === "open") {
      const address = new URL("/", location.href);
      address.search = location.search;
      address.searchParams.set("token", token);
      location.replace(address);
      return;
    }
    answer.textContent =
      access.kind === "locked" ? "This is not the token."
      : access.kind === "refused" ? access.message
      : "The server cannot be reached.";
    this.#token.select();
  }
}
