# Copyright 2026 The MCP Registrar Authors.
# SPDX-License-Identifier: Apache-2.0

"""Is server.js in the same folder, by uvicorn with its defaults.

    python server.py
"""

import asyncio
import collections
import json
import os
import socket
import sys
import threading
import time

import uvicorn

HOLDS = 0.5
BUSY = 0.05
executions = collections.Counter()
peers = set()


async def app(scope, receive, send):
    """Answers calls, and says what became of them."""
    peers.add(scope["client"])
    if scope["method"] == "GET":
        answer = {"connections": len(peers), "executions": executions}
    else:
        answer = await call(json.loads(await content(receive)))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def content(receive):
    """Is the body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def call(message):
    """Carries out a call."""
    number = message["params"]["arguments"]["number"]
    executions[number] += 1
    await asyncio.sleep(HOLDS)
    return {"jsonrpc": "2.0", "id": message["id"], "result": {"content": [{"type": "text", "text": number}]}}


async def attend():
    """Attends to something else half of the time."""
    while True:
        time.sleep(BUSY)
        await asyncio.sleep(BUSY)


async def main():
    busy = asyncio.create_task(attend())
    await uvicorn.Server(config).serve(sockets=[listener])
    busy.cancel()


def end_with_input():
    """Ends the program when its standard input does."""
    sys.stdin.read()
    os._exit(0)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1024)
threading.Thread(target=end_with_input, daemon=True).start()
# Peers are told by their own addresses, not by those that the guard forwards.
config = uvicorn.Config(app, log_level="warning", lifespan="off", proxy_headers=False)
print(json.dumps({"address": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
asyncio.run(main())
