"""The official Python client against a daemon: client.py URL TOKEN-FILE FOLDER PROGRAM ARGUMENT…

It connects by HTTP in both of its modes, and to PROGRAM on standard input and output, and does the same with each.
"""

import asyncio
import pathlib
import sys

from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client


async def exercise(client, folder: pathlib.Path, name: str) -> None:
    assert client.server_info.name == "deskd", client.server_info
    tools = (await client.list_tools()).tools
    names = [tool.name for tool in tools]
    assert "execute" in names and len(names) <= 25, names
    # The client checks the answer against the output schema.
    answer = await client.call_tool("execute", {"command": "echo from python"})
    assert not answer.is_error, answer
    assert answer.structured_content["output"] == "from python\n", answer
    path = str(folder / name)
    await client.call_tool("write_file", {"path": path, "content": "one\n"})
    edits = [{"path": path, "edits": [{"old_text": "one", "new_text": "two"}]}]
    await client.call_tool("edit_files", {"files": edits})
    read = await client.call_tool("read_file", {"path": path})
    assert read.structured_content["content"].startswith("1\ttwo"), read
    refused = await client.call_tool("read_file", {"path": path + ".none"})
    assert refused.is_error and "Call list_directory" in refused.content[0].text, refused
    resources = (await client.list_resources()).resources
    output = next(r for r in resources if str(r.uri).startswith("deskd://process/"))
    contents = (await client.read_resource(output.uri)).contents
    assert contents[0].text == "from python\n", contents
    progress = []

    async def note(done, total, message):
        progress.append(message)

    slow = await client.call_tool("execute", {"command": "timeout 2.5 tail -f /dev/null; true"}, progress_callback=note)
    assert slow.structured_content["success"] and progress, (slow, progress)
    print(f"{name}: {client.protocol_version}, {len(names)} tools")


async def main(url: str, token: str, folder: pathlib.Path, program: list[str]) -> None:
    headers = {"Authorization": f"Bearer {token}", "Coder-Chat-Id": "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa"}
    for mode in ("auto", "legacy"):
        async with create_mcp_http_client(headers=headers) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, mode=mode) as client:
                await exercise(client, folder, f"http-{mode}")
    for mode in ("auto", "legacy"):
        parameters = StdioServerParameters(command=program[0], args=program[1:])
        async with Client(stdio_client(parameters), mode=mode) as client:
            await exercise(client, folder, f"stdio-{mode}")


if __name__ == "__main__":
    url, token_file, folder, *program = sys.argv[1:]
    token = pathlib.Path(token_file).read_text().strip()
    asyncio.run(main(url, token, pathlib.Path(folder), program))
