"""A server made of callbacks only: no coroutine, no thread, no `import asyncio`.

    tulipa run callbacks_server.py 8888       serve until Ctrl-C
    tulipa run callbacks_server.py 8888 10    serve ten connections, then end

It sends back what it gets, in capitals, and prints every second how many are connected. `tulipa run` runs the loop
after the last line of the program, until nothing is left to do: no server, no connection, no timer.
"""

import sys

import tulipa

loop = tulipa.current_loop()
port = int(sys.argv[1])
connections_left = int(sys.argv[2]) if len(sys.argv) > 2 else None
connected = set()


class Capitals:
    """One connection. The names of the methods are those of an asyncio protocol."""

    def connection_made(self, transport):
        self.transport = transport
        connected.add(self)
        count_connection()

    def data_received(self, data):
        self.transport.write(data.upper())

    def eof_received(self):
        # True would keep the connection open for more to be sent.
        return False

    def pause_writing(self):
        # The peer does not read: stop reading from it until it does.
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    def connection_lost(self, exc):
        connected.discard(self)
        end_if_done()


def count_connection():
    global connections_left
    if connections_left is not None:
        connections_left -= 1
        if connections_left == 0:
            server.close()


def report():
    global report_due
    print(f"{len(connected)} connected", flush=True)
    report_due = loop.call_later(1, report)


def end_if_done():
    if connections_left == 0 and not connected:
        report_due.cancel()


server = loop.start_server(Capitals, "localhost", port)
report_due = loop.call_soon(report)
