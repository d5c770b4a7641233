// The official TypeScript client against a daemon: client.mjs URL TOKEN-FILE FOLDER PROGRAM ARGUMENT…
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [url, tokenFile, folder, program, ...args] = process.argv.slice(2);
const token = (await readFile(tokenFile, "utf8")).trim();

async function exercise(transport, name) {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  assert.equal(client.getServerVersion().name, "deskd");
  const { tools } = await client.listTools();
  assert.ok(tools.length <= 25 && tools.every((tool) => tool.title && tool.outputSchema));
  const call = (tool, parameters, options) =>
    client.callTool({ name: tool, arguments: parameters }, undefined, options);
  // The client checks the answers against the output schemas.
  const said = await call("execute", { command: "echo from typescript" });
  assert.equal(said.structuredContent.output, "from typescript\n");
  const path = join(folder, name);
  await call("write_file", { path, content: "one\n" });
  const edits = [{ old_text: "one", new_text: "two" }];
  await call("edit_files", { files: [{ path, edits }] });
  assert.equal(await readFile(path, "utf8"), "two\n");
  const refused = await call("list_directory", { path: `${path}.none` });
  assert.ok(refused.isError && refused.content[0].text.includes("[not_found]"));
  // Progress, and a call that is given up.
  const progress = [];
  await call("execute", { command: "timeout 2.5 tail -f /dev/null; true" }, { onprogress: (step) => progress.push(step) });
  assert.ok(progress.length > 0);
  const abort = new AbortController();
  const long = call("execute", { command: "tail -f /dev/null", timeout: "1h" }, { signal: abort.signal });
  setTimeout(() => abort.abort("enough"), 500);
  await assert.rejects(long);
  // A resource that is followed.
  const cat = await call("execute", { command: "cat", run_in_background: true, interactive: true });
  const id = cat.structuredContent.background_process_id;
  const uri = `deskd://process/${id}/output`;
  const updated = new Promise((resolve) =>
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, (note) => resolve(note.params.uri)));
  await client.subscribeResource({ uri });
  await call("process_input", { process_id: id, text: "x\n", eof: true });
  assert.equal(await updated, uri);
  assert.equal((await client.readResource({ uri })).contents[0].text, "x\n");
  await transport.terminateSession?.();
  await client.close();
  console.log(`${name}: ${tools.length} tools`);
}

const headers = { Authorization: `Bearer ${token}` };
await exercise(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }), "ts-http");
await exercise(new StdioClientTransport({ command: program, args }), "ts-stdio");
