"""An HTTP server of a public framework, unmodified, on one of the loops.

    python serve_http.py LOOP uvicorn|aiohttp

It prints the port as its first line and serves until it is told to terminate. `/` answers with a short text, `/cpu`
with the processor time that the server has used so far, in seconds.
"""

import socket
import sys

import loops

TEXT = "A short text, as many replies of services are.\n"


def listening_socket():
    # With its protocol named: asyncio switches Nagle's algorithm off only then, and would stall 40 ms per reply here.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    sock.listen(512)
    print(sock.getsockname()[1], flush=True)
    return sock


def serve_uvicorn(loop_name):
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def text(request):
        return PlainTextResponse(TEXT)

    async def cpu(request):
        return PlainTextResponse(str(loops.cpu_seconds()))

    app = Starlette(routes=[Route("/", text), Route("/cpu", cpu)])
    # The whole switch. On the command line it is `uvicorn --loop tulipa:new_event_loop`.
    config = uvicorn.Config(app, loop=loops.FACTORIES[loop_name], access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listening_socket()])


def serve_aiohttp(loop_name):
    from aiohttp import web

    async def text(request):
        return web.Response(text=TEXT)

    async def cpu(request):
        return web.Response(text=str(loops.cpu_seconds()))

    app = web.Application()
    app.add_routes([web.get("/", text), web.get("/cpu", cpu)])
    loop = loops.factory(loop_name)()
    web.run_app(app, sock=listening_socket(), loop=loop, print=None, access_log=None)


if __name__ == "__main__":
    {"uvicorn": serve_uvicorn, "aiohttp": serve_aiohttp}[sys.argv[2]](sys.argv[1])
