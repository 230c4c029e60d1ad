# An echo server in nine lines: whatever a client sends comes back to it.
#
#     python echo_server.py 8888
#
# Any number of clients are served at once, in one thread. A client that sends and does not read is not read from
# either, once `drain` waits for it. Try it with `nc localhost 8888`; stop it with Ctrl-C.

import asyncio, sys, tulipa


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main():
    await (await asyncio.start_server(echo, "localhost", int(sys.argv[1]))).serve_forever()


tulipa.run(main())
