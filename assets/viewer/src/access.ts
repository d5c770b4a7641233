// Asks the server, before connecting, whether this browser may come in and how the desktop is.

export type Access =
  | { readonly kind: "open"; readonly lastError: string | null; readonly mayControl: boolean }
  | { readonly kind: "locked" }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "unreachable" };

const DESKTOP = "/api/v0/desktop";
const PATIENCE_MS = 10_000;

/** What the server says to the cookie of this browser, or to the given token. Never starts a desktop. */
export async function askAccess(token?: string): Promise<Access> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (token !== undefined) {
    headers["Authorization"] = `Bearer ${token}`;
  }
  try {
    const answer = await fetch(DESKTOP, {
      headers,
      cache: "no-store",
      credentials: token === undefined ? "same-origin" : "omit",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const body: unknown = await answer.json().catch(() => null);
    if (answer.status === 401) {
      return { kind: "locked" };
    }
    if (!answer.ok) {
      return { kind: "refused", message: text(body, "message") ?? `The server answered ${answer.status}.` };
    }
    return {
      kind: "open",
      lastError: text(field(body, "last_error"), "message"),
      mayControl: field(body, "may_control") === true,
    };
  } catch {
    return { kind: "unreachable" };
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : null;
}

function text(value: unknown, name: string): string | null {
  const found = field(value, name);
  return typeof found === "string" && found !== "" ? found : null;
}
