// The clipboard panel, and, when a person allows it, one clipboard for the device and the desktop.
import type { Connection } from "./connection";
import { element } from "./dom";
import { loadClipboardSharing, saveClipboardSharing } from "./settings";

export class Clipboard {
  readonly #connection: Connection;
  readonly #text = element("clipboard-text", HTMLTextAreaElement);
  readonly #send = element("clipboard-send", HTMLButtonElement);
  readonly #share = element("clipboard-share", HTMLInputElement);
  readonly #answer = element("clipboard-answer", HTMLElement);
  /** What both sides have, as far as we know: only a change is carried over. */
  #known: string | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#send.addEventListener("click", () => this.#toDesktop(this.#text.value));
    this.#share.addEventListener("change", () => void this.#switchSharing());
    window.addEventListener("focus", () => void this.#carryOver());
    if (this.#available()) {
      this.#share.checked = loadClipboardSharing();
    } else {
      this.#share.disabled = true;
      element("clipboard-share-hint", HTMLElement).textContent =
        "This browser keeps its clipboard to itself here: use the text field.";
    }
  }

  /** The desktop has new text. */
  fromDesktop(text: string): void {
    this.#known = text;
    this.#text.value = text;
    this.#say("From the desktop.");
    if (this.#share.checked) {
      // Refused without focus or permission: the text is in the panel all the same.
      navigator.clipboard.writeText(text).catch(() => this.#say("From the desktop; the browser kept its own clipboard."));
    }
  }

  /** To be told when the right or the way to send came or went. */
  refresh(): void {
    this.#send.disabled = this.#connection.control === null;
    this.#text.readOnly = this.#connection.viewOnly;
    if (!this.#send.disabled) {
      void this.#carryOver();
    }
  }

  #available(): boolean {
    return window.isSecureContext && "clipboard" in navigator && "readText" in navigator.clipboard;
  }

  #toDesktop(text: string): void {
    const session = this.#connection.control;
    if (session === null) {
      this.#say("Not sent: the desktop takes no input from here now.");
      return;
    }
    this.#known = text;
    session.rfb.clipboardPasteFrom(text);
    this.#say("Sent to the desktop.");
  }

  async #switchSharing(): Promise<void> {
    saveClipboardSharing(this.#share.checked);
    if (!this.#share.checked) {
      return;
    }
    try {
      await navigator.clipboard.readText(); // the browser asks the person now
      await this.#carryOver();
    } catch {
      this.#share.checked = false;
      saveClipboardSharing(false);
      this.#say("The browser did not allow it.");
    }
  }

  /** The device's clipboard to the desktop, when sharing is on and something new was copied. */
  async #carryOver(): Promise<void> {
    if (!this.#share.checked || this.#connection.control === null || !document.hasFocus()) {
      return;
    }
    const text = await navigator.clipboard.readText().catch(() => "");
    if (text !== "" && text !== this.#known) {
      this.#text.value = text;
      this.#toDesktop(text);
    }
  }

  #say(words: string): void {
    this.#answer.textContent = words;
  }
}
