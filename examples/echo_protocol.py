"""The echo server in protocol form: callbacks on a transport, with flow control.

    python echo_protocol.py 8888

`echo_server.py` is the same with streams. Here nothing is awaited per connection: the loop calls a method when
something happens. A client that sends and does not read is not read from either, once the transport's buffer is full.
"""

import asyncio
import sys

import tulipa


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    def eof_received(self):
        # What is still to be written is written; then the transport closes.
        return False


async def main(port):
    server = await asyncio.get_running_loop().create_server(Echo, "localhost", port)
    await server.serve_forever()


tulipa.run(main(int(sys.argv[1])))
