"""TLS to a child over two pipes: two transports of one direction each become one, and TLS runs over that.

    python tls_over_pipes.py CERTIFICATE KEY

The child is this program again. It serves TLS on its standard input and output; nobody in between can read along. The
certificate has to be one for the name `localhost`, and is its own authority.
"""

import asyncio
import ssl
import sys

import tulipa


async def serve(certificate, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    served = asyncio.get_running_loop().create_future()

    class Capitals(asyncio.Protocol):
        def data_received(self, data):
            secure.write(data.upper())

        def connection_lost(self, exc):
            served.set_result(None)

    transport, protocol = await tulipa.stdio(Capitals)
    secure = await asyncio.get_running_loop().start_tls(transport, protocol, context, server_side=True)
    await served


async def main(certificate, key):
    reader, writer = await tulipa.open_child(sys.executable, __file__, certificate, key, "serve")
    child = writer.transport
    await writer.start_tls(ssl.create_default_context(cafile=certificate), server_hostname="localhost")
    writer.write(b"through two pipes\n")
    print(await reader.readline(), writer.get_extra_info("cipher")[1])
    writer.close()
    await writer.wait_closed()
    print("the child ended with status", await child.wait())


tulipa.run((serve if sys.argv[3:] else main)(*sys.argv[1:3]))
