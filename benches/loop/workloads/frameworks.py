"""Servers of well-known frameworks: the smallest program that each of them calls hello world."""

from __future__ import annotations

import asyncio

from workloads.model import HTTP, WEBSOCKET, Served

HELLO = b"Hello, world!"


async def application(scope, receive, send):
    """An ASGI application without a framework."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": HELLO})


async def uvicorn_server(sock, context):
    import uvicorn

    config = uvicorn.Config(
        application, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None, backlog=1024
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[sock]))
    while not server.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.01)
    return server, task


async def aiohttp_server(sock, context):
    from aiohttp import web

    async def hello(request):
        return web.Response(body=HELLO, content_type="text/plain")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, sock, backlog=1024).start()
    return runner


async def websockets_server(sock, context):
    from websockets.asyncio.server import serve

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    return await serve(echo, sock=sock, compression=None, backlog=1024)


WORKLOADS = (
    Served(name="http/uvicorn", title="uvicorn, plaintext, 32 connections", serve=uvicorn_server, client=HTTP,
           connections=32, usual=True),
    Served(name="http/aiohttp", title="aiohttp server, plaintext, 32 connections", serve=aiohttp_server, client=HTTP,
           connections=32, usual=True),
    Served(name="websockets", title="websockets, echo of 1 KiB, 32 connections", serve=websockets_server,
           client=WEBSOCKET, connections=32, usual=True),
)  # fmt: skip
