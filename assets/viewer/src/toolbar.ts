// The bar: one open panel at a time, view-only switch, quality, full screen, and the way out of the desktop by keyboard.
import type { Connection } from "./connection";
import { element } from "./dom";
import { loadQuality, saveQuality, type Quality } from "./settings";

const ONLY_LOOK = "Only look: the server drops keys, pointer and clipboard";

export class Toolbar {
  readonly #connection: Connection;
  readonly #screen = element("screen", HTMLElement);
  readonly #viewOnly = element("view-only", HTMLButtonElement);
  readonly #panelClosed: () => void;

  constructor(connection: Connection, panelClosed: () => void) {
    this.#connection = connection;
    this.#panelClosed = panelClosed;
    this.#viewOnly.addEventListener("click", () => this.#switchViewOnly());
    this.refresh();
    for (const opener of openers()) {
      opener.addEventListener("click", () => this.#togglePanel(opener));
    }
    this.#prepareQuality();
    this.#prepareFullScreen();
    element("disconnect", HTMLButtonElement).addEventListener("click", () => {
      this.closePanels();
      connection.disconnect();
    });
    element("version", HTMLElement).textContent = NOVNC_VERSION;
    document.addEventListener("keydown", (event) => this.#shortcut(event), { capture: true });
  }

  /** Puts the keyboard into the desktop, unless the person is busy in the bar. */
  enterDesktop(): void {
    if (document.activeElement === document.body || document.activeElement === null) {
      this.#screen.querySelector("canvas")?.focus({ preventScroll: true });
    }
  }

  /** A token that may only look leaves no choice. */
  refresh(): void {
    const { viewOnly, mayControl } = this.#connection;
    this.#viewOnly.setAttribute("aria-checked", String(viewOnly));
    this.#viewOnly.disabled = !mayControl;
    this.#viewOnly.title = mayControl ? ONLY_LOOK : "This link may only look";
  }

  closePanels(): void {
    for (const opener of openers()) {
      if (opener.getAttribute("aria-expanded") === "true") {
        this.#setPanel(opener, false);
      }
    }
  }

  /** Opens a panel from the start where there is room for it beside the desktop. */
  showBeside(opener: string): void {
    if (matchMedia("(min-width: 1100px)").matches) {
      this.#togglePanel(element(opener, HTMLButtonElement));
    }
  }

  #togglePanel(opener: HTMLButtonElement): void {
    const open = opener.getAttribute("aria-expanded") !== "true";
    this.closePanels();
    this.#setPanel(opener, open);
  }

  #setPanel(opener: HTMLButtonElement, open: boolean): void {
    const panel = element(opener.getAttribute("aria-controls") ?? "", HTMLElement);
    opener.setAttribute("aria-expanded", String(open));
    panel.hidden = !open;
    if (!open) {
      this.#panelClosed();
    }
  }

  /** Ctrl+Alt+Shift+M goes from the desktop to the bar and back; Escape closes a panel. */
  #shortcut(event: KeyboardEvent): void {
    const inDesktop = this.#screen.contains(document.activeElement);
    if (event.ctrlKey && event.altKey && event.shiftKey && event.code === "KeyM") {
      event.preventDefault();
      event.stopPropagation();
      if (inDesktop) {
        this.#viewOnly.focus();
      } else {
        this.closePanels();
        this.#screen.querySelector("canvas")?.focus({ preventScroll: true });
      }
    } else if (event.key === "Escape" && !inDesktop) {
      const opener = openers().find((button) => button.getAttribute("aria-expanded") === "true");
      if (opener !== undefined) {
        this.closePanels();
        opener.focus();
      }
    }
  }

  #switchViewOnly(): void {
    this.#connection.setViewOnly(!this.#connection.viewOnly);
    this.refresh();
    // In the address, so that reloading and sharing keep it.
    const address = new URL(location.href);
    if (this.#connection.viewOnly) {
      address.searchParams.set("view_only", "true");
    } else {
      address.searchParams.delete("view_only");
    }
    history.replaceState(null, "", address);
  }


  #prepareQuality(): void {
    const chosen = loadQuality();
    for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=quality]")) {
      radio.checked = radio.value === chosen;
      radio.addEventListener("change", () => {
        const quality = radio.value as Quality; // index.html offers nothing else
        this.#connection.setQuality(quality);
        saveQuality(quality);
      });
    }
  }

  #prepareFullScreen(): void {
    const button = element("full-screen", HTMLButtonElement);
    button.hidden = !document.fullscreenEnabled;
    button.addEventListener("click", () => {
      const done = document.fullscreenElement === null
        ? document.documentElement.requestFullscreen()
        : document.exitFullscreen();
      done.catch(() => undefined); // the browser refused: nothing changed, nothing to say
    });
    document.addEventListener("fullscreenchange", () => {
      button.setAttribute("aria-pressed", String(document.fullscreenElement !== null));
    });
  }
}

function openers(): HTMLButtonElement[] {
  return [...document.querySelectorAll<HTMLButtonElement>("button[aria-controls]")];
}
