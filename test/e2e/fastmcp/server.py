# Copyright 2026 The MCP Registrar Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs the authorization server of FastMCP on a free loopback port, with its own
provider that keeps everything in memory: it registers clients (RFC 7591) and cannot
delete them again (no RFC 7592).

    python server.py SCOPE...

The environment variable ISSUER is where clients reach it. One line of JSON with the
address is printed when it listens; GET /clients there lists the clients that it has.
It ends with its standard input.
"""

import json
import os
import socket
import sys
import threading

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth.auth import ClientRegistrationOptions
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from starlette.responses import JSONResponse

scopes = sys.argv[1:]
provider = InMemoryOAuthProvider(
    base_url=os.environ["ISSUER"],
    client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=scopes),
)
mcp = FastMCP("files", auth=provider)


@mcp.custom_route("/clients", methods=["GET"])
async def clients(_request):
    """Lists the clients that there are."""
    return JSONResponse([{"id": c.client_id, "name": c.client_name} for c in provider.clients.values()])


def end_with_input():
    """Ends the program when its standard input does."""
    sys.stdin.read()
    os._exit(0)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
threading.Thread(target=end_with_input, daemon=True).start()
print(json.dumps({"address": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
uvicorn.Server(uvicorn.Config(mcp.http_app(), log_level="warning")).run(sockets=[listener])
