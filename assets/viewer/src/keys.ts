// The key menu: keys that a phone does not have or a browser keeps for itself, and typing without a keyboard.
import type { Connection } from "./connection";
import { element } from "./dom";

/** Keysyms by the name used in index.html (X11/keysymdef.h), with the physical key noVNC wants beside them. */
const KEYS: Readonly<Record<string, readonly [number, string]>> = {
  Escape: [0xff1b, "Escape"],
  Tab: [0xff09, "Tab"],
  Enter: [0xff0d, "Enter"],
  Backspace: [0xff08, "Backspace"],
  Delete: [0xffff, "Delete"],
  Home: [0xff50, "Home"],
  End: [0xff57, "End"],
  PageUp: [0xff55, "PageUp"],
  PageDown: [0xff56, "PageDown"],
  ArrowLeft: [0xff51, "ArrowLeft"],
  ArrowUp: [0xff52, "ArrowUp"],
  ArrowRight: [0xff53, "ArrowRight"],
  ArrowDown: [0xff54, "ArrowDown"],
  Control: [0xffe3, "ControlLeft"],
  Alt: [0xffe9, "AltLeft"],
  Shift: [0xffe1, "ShiftLeft"],
  Super: [0xffeb, "MetaLeft"],
};

/** Keeps a phone's Backspace working: without text before the caret there would be nothing to delete. */
const PADDING = "\u00a0".repeat(32);

export class Keys {
  readonly #connection: Connection;
  readonly #panel = element("keys-panel", HTMLElement);
  readonly #typing = element("typing", HTMLInputElement);
  #before = PADDING;

  constructor(connection: Connection) {
    this.#connection = connection;
    for (const button of this.#panel.querySelectorAll<HTMLButtonElement>("button[data-key]")) {
      button.addEventListener("click", () => this.#press(button.dataset["key"] ?? ""));
    }
    for (const button of this.#panel.querySelectorAll<HTMLButtonElement>("button[data-hold]")) {
      button.addEventListener("click", () => this.#toggle(button));
    }
    element("ctrl-alt-del", HTMLButtonElement).addEventListener("click", () =>
      this.#connection.control?.rfb.sendCtrlAltDel(),
    );
    this.#typing.value = PADDING;
    this.#typing.addEventListener("input", (event) => {
      // Text that is still being composed changes under our hands; wait for its end.
      if (!(event instanceof InputEvent) || !event.isComposing) {
        this.#typed();
      }
    });
    this.#typing.addEventListener("compositionend", () => this.#typed());
    this.#typing.addEventListener("keydown", (event) => this.#control(event));
    this.#typing.addEventListener("focus", () => this.#startOver());
  }

  /** To be told when the right or the way to send came or went; held keys do not outlive a connection. */
  refresh(): void {
    const off = this.#connection.control === null;
    for (const control of this.#panel.querySelectorAll<HTMLButtonElement | HTMLInputElement>("button, input")) {
      control.disabled = off;
      if (off && control.hasAttribute("aria-pressed")) {
        control.setAttribute("aria-pressed", "false");
      }
    }
  }

  /** Releases the modifiers that the menu holds. */
  releaseAll(): void {
    for (const button of this.#panel.querySelectorAll<HTMLButtonElement>("button[aria-pressed=true]")) {
      this.#toggle(button);
    }
  }

  #press(name: string): void {
    const key = KEYS[name];
    if (key !== undefined) {
      this.#connection.control?.rfb.sendKey(key[0], key[1]);
    }
  }

  #toggle(button: HTMLButtonElement): void {
    const key = KEYS[button.dataset["hold"] ?? ""];
    const session = this.#connection.control;
    if (key === undefined || session === null) {
      return;
    }
    const down = button.getAttribute("aria-pressed") !== "true";
    session.rfb.sendKey(key[0], key[1], down);
    button.setAttribute("aria-pressed", String(down));
  }

  /** Enter and the keys that move the caret do not change the field: they go straight on. */
  #control(event: KeyboardEvent): void {
    if (event.key === "Enter" || event.key.startsWith("Arrow")) {
      event.preventDefault();
      this.#press(event.key);
      this.#startOver();
    }
  }

  /** Sends the difference between what the field held and what it holds: deletions, then insertions. */
  #typed(): void {
    const rfb = this.#connection.control?.rfb;
    const before = [...this.#before];
    const after = [...this.#typing.value];
    let same = 0;
    while (same < before.length && same < after.length && before[same] === after[same]) {
      same += 1;
    }
    for (let i = same; i < before.length; i += 1) {
      this.#press("Backspace");
    }
    for (const character of after.slice(same)) {
      rfb?.sendKey(keysym(character), null);
    }
    this.#before = this.#typing.value;
    if (after.length < PADDING.length / 2) {
      this.#startOver();
    }
  }

  #startOver(): void {
    this.#typing.value = PADDING;
    this.#before = PADDING;
    this.#typing.setSelectionRange(PADDING.length, PADDING.length);
  }
}

/** Keysym of a character: Latin-1 is itself, all others are the code point plus 0x01000000 (X11 protocol, appendix A). */
function keysym(character: string): number {
  const point = character.codePointAt(0) ?? 0;
  return point <= 0xff ? point : 0x0100_0000 + point;
}
