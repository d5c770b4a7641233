// How long to wait before the next attempt: 0.5 s, doubled to at most 10 s.

const FIRST_MS = 500;
const LONGEST_MS = 10_000;
/** A connection that lasted this long counts as good: the next loss starts over at the shortest wait. */
const STABLE_MS = 5_000;

export class Backoff {
  #next = FIRST_MS;

  /** The wait before the next attempt, in milliseconds. */
  take(): number {
    const wait = this.#next;
    this.#next = Math.min(this.#next * 2, LONGEST_MS);
    return wait;
  }

  /** To be told when a connection ended, with how long it had lasted. */
  ended(lastedMs: number): void {
    if (lastedMs >= STABLE_MS) {
      this.#next = FIRST_MS;
    }
  }

  reset(): void {
    this.#next = FIRST_MS;
  }
}
