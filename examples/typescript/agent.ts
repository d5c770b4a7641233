// Gives a task to a model of OpenAI's, with the desktop of deskd as its computer.
//
//   npm start -- 'Open a terminal and find out how long this machine has been up.'
//
// DESKD_URL (http://127.0.0.1:7380) and DESKD_TOKEN_FILE (the daemon's own) say where and as whom.
// OPENAI_API_KEY and OPENAI_BASE_URL are the vendor's own; OPENAI_MODEL picks the model.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { createInterface } from "node:readline";
import OpenAI from "openai";

type Input = OpenAI.Responses.ResponseInputItem;
type Call = OpenAI.Responses.ResponseComputerToolCall;

const { env } = process;
const url = (env["DESKD_URL"] ?? "http://127.0.0.1:7380").replace(/\/+$/, "");
const state = env["XDG_STATE_HOME"] || `${homedir()}/.local/state`;
const tokenFile = env["DESKD_TOKEN_FILE"] ?? `${state}/deskd/token`;
const model = env["OPENAI_MODEL"] ?? "gpt-5.4";

const size = "width=1280"; // what the model sees; the height follows the desktop's
const turns = 100;

async function deskd(path: string, body?: object): Promise<{ status: number; answer: any }> {
  const headers = { Authorization: `Bearer ${readFileSync(tokenFile, "utf8").trim()}`, "Content-Type": "application/json" };
  const request = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  const response = await fetch(url + path, request).catch((error) => {
    throw new Error(`deskd at ${url}: ${error.cause ?? error}`);
  });
  const text = await response.text();
  if (![200, 409, 422].includes(response.status)) throw new Error(`deskd answered ${response.status}: ${text}`);
  return { status: response.status, answer: JSON.parse(text) };
}

async function agreed(checks: Call["pending_safety_checks"]): Promise<boolean> {
  for (const check of checks) console.error(`The vendor warns: ${check.message} (${check.code})`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr, prompt: "Go on? [y/N] " });
  terminal.prompt();
  for await (const line of terminal) return /^y(es)?$/i.test(line.trim());
  return false; // nobody is there
}

/** What goes to the model for a call: its output, or what deskd says instead when an action could not be done. */
async function use(call: Call): Promise<Input[]> {
  const path = `/api/v0/computer/openai?${size}`;
  let { status, answer } = await deskd(path, call);
  if (status === 409 && answer.code === "pending_safety_checks") {
    if (!(await agreed(call.pending_safety_checks))) throw new Error("stopped: nobody agreed to go on");
    ({ status, answer } = await deskd(path, { ...call, acknowledged_safety_checks: call.pending_safety_checks }));
  }
  if (status === 409) throw new Error(`deskd answered 409: ${answer.message}`);
  return status === 422 ? answer.input : [answer];
}

async function main(task: string) {
  if (!task) throw new Error("usage: npm start -- TASK");
  const { answer: tool } = await deskd(`/api/v0/computer/tools?vendor=openai&${size}`);
  const vendor = new OpenAI();
  let input: Input[] = [{ role: "user", content: task }];
  let previous: string | null = null;
  for (let turn = 0; turn < turns; turn++) {
    const wish = { model, input, tools: [tool], previous_response_id: previous, truncation: "auto" as const };
    const reply: OpenAI.Responses.Response = await vendor.responses.create(wish);
    if (reply.output_text) console.log(reply.output_text);
    if (reply.status !== "completed") throw new Error(`the model stopped: ${reply.incomplete_details?.reason ?? reply.status}`);
    const calls = reply.output.filter((item) => item.type === "computer_call");
    if (calls.length === 0) return;
    [input, previous] = [[], reply.id];
    for (const call of calls) input.push(...(await use(call)));
  }
  throw new Error(`not done after ${turns} turns`);
}

await main(process.argv.slice(2).join(" ")).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
