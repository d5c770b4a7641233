// Shows the repositories of a chat beside the desktop: branch, files, and the diff of each, as they change.
import { byFile, kindOf, readable } from "./diff";
import { element } from "./dom";
import { Repositories, type FileChange, type Known, type Repository } from "./repositories";

/** A longer diff of a file is folded until somebody opens it, and so is every one when there are many files. */
const SHORT_LINES = 60;
const MANY_FILES = 12;
/** Lines that are put on the page at once. */
const AT_ONCE = 1_000;

const WORDS: Readonly<Record<string, readonly [string, string]>> = {
  added: ["A", "added"],
  modified: ["M", "modified"],
  deleted: ["D", "deleted"],
  renamed: ["R", "renamed"],
  type_changed: ["T", "type changed"],
  conflicted: ["!", "conflicted"],
  untracked: ["?", "untracked"],
};

export class Changes {
  readonly #state = element("changes-state", HTMLElement);
  readonly #list = element("changes-list", HTMLElement);
  readonly #count = element("changes-count", HTMLElement);
  /** What a person opened or folded, by repository and file; else it goes by size. */
  readonly #opened = new Map<string, boolean>();
  /** What is on the page, by repository: it is only made anew when it says something else. */
  readonly #shown = new Map<string, { readonly of: Repository; readonly node: HTMLElement }>();

  constructor(chat: string) {
    element("changes", HTMLButtonElement).hidden = false;
    new Repositories(chat, (known) => this.#show(known)).connect();
  }

  #show(known: Known): void {
    const all = [...known.repositories.values()].sort((a, b) => (a.repo_root < b.repo_root ? -1 : 1));
    const files = all.reduce((sum, repository) => sum + (repository.files?.length ?? 0), 0);
    this.#count.textContent = files === 0 ? "" : String(files);
    this.#state.textContent =
      !known.live ? "Not connected. What is shown may be old."
      : all.length > 0 ? ""
      : "No repository yet: one appears here when this chat works in it.";
    this.#state.hidden = this.#state.textContent === "";
    for (const root of [...this.#shown.keys()].filter((root) => !known.repositories.has(root))) {
      this.#shown.delete(root);
    }
    const nodes = all.map((repository) => this.#repository(repository));
    const failures = known.failures.map((failure) =>
      make("p", "failure", `${failure.repo_root}: ${failure.message}`),
    );
    const wanted: Element[] = [...nodes, ...failures];
    const there = [...this.#list.children];
    if (wanted.length !== there.length || wanted.some((node, at) => node !== there[at])) {
      this.#list.replaceChildren(...wanted);
    }
  }

  #repository(repository: Repository): HTMLElement {
    const shown = this.#shown.get(repository.repo_root);
    if (shown?.of === repository) {
      return shown.node;
    }
    const node = make("section", "repository");
    node.append(heading(repository), ...this.#files(repository));
    this.#shown.set(repository.repo_root, { of: repository, node });
    return node;
  }

  #files(repository: Repository): HTMLElement[] {
    const files = repository.files ?? [];
    const diffs = byFile(repository.unified_diff);
    const nodes = files.map((file) => this.#file(repository, file, diffs.get(file.path) ?? [], files.length));
    const rest = diffs.get("");
    if (rest !== undefined) {
      nodes.push(make("p", "hint", rest.join(" ")));
    }
    return nodes.length > 0 ? nodes : [make("p", "hint", "Nothing changed.")];
  }

  #file(repository: Repository, file: FileChange, section: readonly string[], files: number): HTMLElement {
    const key = `${repository.repo_root}\0${file.path}`;
    const lines = readable(section);
    const node = document.createElement("details");
    node.append(summary(file));
    node.open = this.#opened.get(key) ?? (lines.length <= SHORT_LINES && files <= MANY_FILES);
    let filled = false;
    const fill = () => {
      if (node.open && !filled) {
        filled = true;
        node.append(text(lines));
      }
    };
    fill();
    node.addEventListener("toggle", fill);
    node.firstElementChild?.addEventListener("click", () => this.#opened.set(key, !node.open));
    return node;
  }
}

function heading(repository: Repository): HTMLElement {
  const head = make("header", "");
  const name = make("h2", "", repository.repo_root.split("/").pop() || "/");
  name.title = repository.repo_root;
  const branch = repository.branch !== "" ? repository.branch : (repository.head ?? "").slice(0, 7);
  const words = [branch];
  if (repository.operation !== undefined) {
    words.push(`${repository.operation} under way`);
  }
  if (repository.upstream !== undefined && (repository.ahead || repository.behind)) {
    words.push(`↑${repository.ahead ?? 0} ↓${repository.behind ?? 0} ${repository.upstream}`);
  }
  head.append(name, make("p", "hint", words.join(" · ")));
  return head;
}

function summary(file: FileChange): HTMLElement {
  const line = document.createElement("summary");
  const [letter, word] = WORDS[file.status] ?? ["·", file.status];
  const status = make("span", `status ${file.status}`, letter);
  status.title = word;
  const path = make("span", "path", file.old_path === undefined ? file.path : `${file.old_path} → ${file.path}`);
  line.append(status, path);
  if (file.additions !== null && file.deletions !== null) {
    line.append(make("span", "plus", `+${file.additions}`), make("span", "minus", `−${file.deletions}`));
  }
  return line;
}

/** The lines of a file's diff; of a long one the first, and a button for more. */
function text(lines: readonly string[]): HTMLElement {
  const block = make("pre", "diff");
  block.tabIndex = 0;
  let next = 0;
  const more = () => {
    const until = Math.min(next + AT_ONCE, lines.length);
    const pieces = lines.slice(next, until).map((line) => make("span", kindOf(line), line === "" ? " " : line));
    next = until;
    block.append(...pieces);
    if (next < lines.length) {
      const button = make("button", "wide", `Show more of ${lines.length - next} lines`);
      button.addEventListener("click", () => {
        button.remove();
        more();
      });
      block.append(button);
    }
  };
  more();
  return block;
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, className: string, text = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
