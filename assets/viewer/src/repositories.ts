// Follows the repositories of a chat: what the server last said of each.
//
//   connecting ──> live ──> waiting ──> connecting ──> …
//
// Every connection begins with the whole state, so what an earlier one said is dropped with its first message.
import { Backoff } from "./backoff";

const PATH = "/api/v0/git/watch";

export interface FileChange {
  readonly path: string;
  readonly old_path?: string;
  readonly status: string;
  readonly additions: number | null;
  readonly deletions: number | null;
}

export interface Repository {
  readonly repo_root: string;
  readonly branch: string;
  readonly unified_diff: string;
  readonly removed?: boolean;
  readonly head?: string;
  readonly upstream?: string;
  readonly ahead?: number;
  readonly behind?: number;
  readonly operation?: string;
  readonly files?: readonly FileChange[];
  readonly truncated?: boolean;
}

export interface Failure {
  readonly repo_root: string;
  readonly message: string;
}

/** What the page knows: the repositories by root, those that cannot be read, and whether it is told of changes. */
export interface Known {
  readonly live: boolean;
  readonly repositories: ReadonlyMap<string, Repository>;
  readonly failures: readonly Failure[];
}

export class Repositories {
  readonly #address: URL;
  readonly #changed: (known: Known) => void;
  readonly #backoff = new Backoff();
  readonly #repositories = new Map<string, Repository>();
  #failures: readonly Failure[] = [];

  constructor(chat: string, changed: (known: Known) => void) {
    this.#address = new URL(PATH, location.href);
    this.#address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#address.searchParams.set("chat_id", chat);
    this.#changed = changed;
  }

  connect(): void {
    const socket = new WebSocket(this.#address);
    const begun = performance.now();
    let first = true;
    socket.addEventListener("open", () => this.#tell(true));
    socket.addEventListener("message", (event) => {
      if (typeof event.data === "string" && this.#take(JSON.parse(event.data), first)) {
        first = false;
        this.#tell(true);
      }
    });
    socket.addEventListener("close", () => {
      this.#tell(false);
      this.#backoff.ended(performance.now() - begun);
      setTimeout(() => this.connect(), this.#backoff.take());
    });
  }

  /** Whether the message says what the repositories are. */
  #take(message: Message, first: boolean): boolean {
    if (message.type !== "changes") {
      return false;
    }
    if (first) {
      this.#repositories.clear();
    }
    for (const repository of message.repositories) {
      if (repository.removed === true) {
        this.#repositories.delete(repository.repo_root);
      } else {
        this.#repositories.set(repository.repo_root, repository);
      }
    }
    this.#failures = message.errors ?? [];
    return true;
  }

  #tell(live: boolean): void {
    this.#changed({ live, repositories: this.#repositories, failures: this.#failures });
  }
}

type Message =
  | { readonly type: "changes"; readonly repositories: readonly Repository[]; readonly errors?: readonly Failure[] }
  | { readonly type: "error"; readonly message: string };
