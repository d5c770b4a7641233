// What the viewer remembers between visits; works without storage, too.

export type Quality = "sharp" | "balanced" | "light";

const QUALITIES: readonly Quality[] = ["sharp", "balanced", "light"];

export function loadQuality(): Quality {
  const stored = read("quality");
  return QUALITIES.find((quality) => quality === stored) ?? "balanced";
}

export function saveQuality(quality: Quality): void {
  write("quality", quality);
}

/** Sharing the device's clipboard is off until a person switches it on. */
export function loadClipboardSharing(): boolean {
  return read("share-clipboard") === "yes";
}

export function saveClipboardSharing(on: boolean): void {
  write("share-clipboard", on ? "yes" : "no");
}

function read(name: string): string | null {
  try {
    return localStorage.getItem(`deskd.${name}`);
  } catch {
    return null; // storage is blocked
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(`deskd.${name}`, value);
  } catch {
    // Storage is blocked or full: the choice lasts as long as the page.
  }
}
