# Copyright 2026 The MCP Registrar Authors.
# SPDX-License-Identifier: Apache-2.0

"""An MCP client in Python that logs in by the browser and does what it is told: see
login.js in the folder beside, which says what the commands and the environment are.

    python login.py sdk|fastmcp URL

"sdk" is the official SDK in the generation that is installed, "fastmcp" the client of
FastMCP, which opens the browser itself, by the environment variable BROWSER.
"""

import asyncio
import contextlib
import json
import os
import sys
import urllib.parse
from importlib.metadata import version

MODERN = version("mcp").startswith("2.")
CLIENT_ID = os.environ["CLIENT_ID"]
REDIRECT = urllib.parse.urlsplit(os.environ["REDIRECT_URI"])


class Callback:
    """Listens at the redirect URI, and opens the browser."""

    def __init__(self):
        self.arrived = asyncio.Queue()

    async def listen(self):
        await asyncio.start_server(self.answer, REDIRECT.hostname, REDIRECT.port)

    async def answer(self, reader, writer):
        target = (await reader.readline()).decode().split(" ")[1]
        while (await reader.readline()).strip():
            pass
        text = b"You may close this window."
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        await writer.drain()
        writer.close()
        query = urllib.parse.urlsplit(target).query
        self.arrived.put_nowait(dict(urllib.parse.parse_qsl(query)))

    async def open(self, url):
        address = os.environ["BROWSER_URL"] + urllib.parse.quote(url, safe="")
        shown = (await asyncio.to_thread(visit, address))["shown"]
        if shown:
            self.arrived.put_nowait({"error": "the browser shows: " + shown})

    async def code(self):
        params = await self.arrived.get()
        if "error" in params:
            raise RuntimeError(f"{params['error']} {params.get('error_description', '')}")
        if MODERN:
            from mcp.client.auth import AuthorizationCodeResult

            return AuthorizationCodeResult(code=params["code"], state=params.get("state"), iss=params.get("iss"))
        return params["code"], params.get("state")


def visit(address):
    """Has the person open a URL, and returns what became of it."""
    import urllib.request

    with urllib.request.urlopen(address) as response:
        return json.load(response)


class Storage:
    """Keeps tokens in memory, and has the client that was registered before."""

    def __init__(self, information):
        self.information = information
        self.tokens = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.information

    async def set_client_info(self, client_info):
        self.information = client_info


async def provider(url):
    """Is the SDK's, with what was registered."""
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

    said = {
        "client_name": "login",
        "redirect_uris": [os.environ["REDIRECT_URI"]],
        "grant_types": os.environ["GRANT_TYPES"].split(),
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    callback = Callback()
    await callback.listen()
    return OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(**said),
        storage=Storage(OAuthClientInformationFull(client_id=CLIENT_ID, **said)),
        redirect_handler=callback.open,
        callback_handler=callback.code,
    )


@contextlib.asynccontextmanager
async def sdk(url):
    """Connects by the official SDK."""
    from mcp.client.streamable_http import streamable_http_client

    if MODERN:
        import httpx2
        from mcp import Client

        async with httpx2.AsyncClient(auth=await provider(url), timeout=60) as http:
            async with Client(streamable_http_client(url, http_client=http)) as client:
                yield client
        return
    import httpx
    from mcp import ClientSession

    async with httpx.AsyncClient(auth=await provider(url), timeout=60) as http:
        async with streamable_http_client(url, http_client=http) as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                yield session


@contextlib.asynccontextmanager
async def fastmcp(url):
    """Connects by FastMCP, which has a listener and a storage of its own."""
    from fastmcp import Client
    from fastmcp.client.auth import OAuth

    auth = OAuth(client_id=CLIENT_ID, callback_host=REDIRECT.hostname, callback_port=REDIRECT.port, callback_timeout=20)
    async with Client(url, auth=auth) as client:
        yield client


def say(**value):
    print(json.dumps(value), flush=True)


def root(error):
    """Is what a group of errors came from."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class User:
    """Does what it is told."""

    def __init__(self, client):
        self.client = client
        self.following = None

    async def list(self, _):
        listed = await self.client.list_tools()
        return {"tools": [tool.name for tool in getattr(listed, "tools", listed)]}

    async def call(self, command, **how):
        answer = await self.client.call_tool(command["tool"], command["arguments"], **how)
        text = "".join(getattr(part, "text", "") for part in answer.content)
        if getattr(answer, "is_error", False) or getattr(answer, "isError", False):
            raise RuntimeError(text)
        return {"text": text}

    async def begin(self, command):
        begun = asyncio.Event()

        async def told(*_):
            begun.set()

        name = "progress_handler" if "fastmcp" in sys.argv else "progress_callback"
        self.following = asyncio.create_task(self.call(command, **{name: told}))
        waiting = asyncio.create_task(begun.wait())
        await asyncio.wait({self.following, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not begun.is_set():
            await self.following
        return {}

    async def end(self, _):
        return await self.following


async def obey(lines, user):
    """Does every command until the input ends."""
    while line := await lines.readline():
        command = json.loads(line)
        try:
            say(ok=True, **await getattr(user, command["do"])(command))
        except Exception as error:  # noqa: BLE001 What a client shows is what it is about.
            say(ok=False, message=f"{root(error)}" or repr(root(error)))


async def main(kind, url):
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await lines.readline()  # {"do": "connect"}
    try:
        async with {"sdk": sdk, "fastmcp": fastmcp}[kind](url) as client:
            say(ok=True)
            await obey(lines, User(client))
    except Exception as error:  # noqa: BLE001
        # The session ended under a command, or was never there.
        say(ok=False, message=f"{root(error)}" or repr(root(error)))
    os._exit(0)


asyncio.run(main(*sys.argv[1:]))
