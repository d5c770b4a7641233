// Close codes of the WebSocket in words (RFC 6455 section 7.4, and what the daemon means by each).

const WORDS: Readonly<Record<number, string>> = {
  1000: "The connection was closed.",
  1001: "The server is shutting down.",
  1002: "The viewer and the server did not understand each other.",
  1003: "The server got data that it does not take.",
  1005: "The connection was closed without a reason.",
  1006: "The connection was lost.",
  1008: "The server does not allow this connection.",
  1009: "A message was too large.",
  1011: "Something went wrong in the server.",
  1012: "The desktop is restarting.",
  1013: "This viewer was too slow for the desktop's pictures.",
  1015: "The secure connection could not be set up.",
};

export interface Ending {
  /** One sentence for a person. */
  readonly sentence: string;
  /** Close code and the server's own words, for those who want to know. */
  readonly detail: string;
}

/** A close code and the reason that came with it. */
export function ending(code: number, reason: string): Ending {
  return {
    sentence: WORDS[code] ?? "The connection was closed.",
    detail: reason === "" ? `Close code ${code}` : `Close code ${code}: ${reason}`,
  };
}
