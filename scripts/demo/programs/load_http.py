"""A client that keeps an HTTP server busy: a fixed number of kept-alive connections, one request at a time on each.

    python load_http.py PORT CONNECTIONS SECONDS

It uses no event loop but a bare `selectors`, so that it is the same for every server and costs little. Every reply must
have status 200 and the length of the first one. The result is one line of JSON.
"""

import json
import selectors
import socket
import sys
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SILENCE_MAX = 5.0


class Load:
    def __init__(self, port, connections):
        self.selector = selectors.DefaultSelector()
        self.requests = 0
        self.reply_length, self.sockets = None, []
        for _ in range(connections):
            sock = socket.create_connection(("127.0.0.1", port), timeout=SILENCE_MAX)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.reply_length is None:
                self.reply_length = len(first_reply(sock))
            sock.setblocking(False)
            self.selector.register(sock, selectors.EVENT_READ, [0])
            self.sockets.append(sock)
        for sock in self.sockets:
            sock.send(REQUEST)

    def keep_busy(self, seconds):
        """Return how many replies came in that time, and how long it was."""
        before, begun = self.requests, time.monotonic()
        end = begun + seconds
        while time.monotonic() < end:
            events = self.selector.select(SILENCE_MAX)
            if not events:
                raise SystemExit(f"the server said nothing for {SILENCE_MAX:.0f} s")
            for key, _ in events:
                self.receive(key.fileobj, key.data)
        return self.requests - before, time.monotonic() - begun

    def receive(self, sock, received):
        data = sock.recv(65536)
        if not data:
            raise SystemExit(f"the server closed a connection after {self.requests} replies")
        if received[0] == 0 and not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server answered {data[:60]!r}")
        received[0] += len(data)
        if received[0] > self.reply_length:
            raise SystemExit(f"a reply of {received[0]} bytes, where the first had {self.reply_length}")
        if received[0] == self.reply_length:
            received[0] = 0
            self.requests += 1
            sock.send(REQUEST)


def first_reply(sock, request=REQUEST):
    """Send a request and return the whole reply, headers included."""
    sock.sendall(request)
    reply = b""
    while b"\r\n\r\n" not in reply:
        reply += receive_some(sock)
    head, _, body = reply.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(lines[b"content-length"]):
        body += receive_some(sock)
    return head + b"\r\n\r\n" + body


def receive_some(sock):
    data = sock.recv(65536)
    if not data:
        raise SystemExit("the server closed the first connection")
    return data


def cpu_of_server(port):
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_MAX) as sock:
        reply = first_reply(sock, REQUEST.replace(b"GET / ", b"GET /cpu "))
        return float(reply.rpartition(b"\r\n\r\n")[2])


if __name__ == "__main__":
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    load = Load(port, connections)
    load.keep_busy(0.4)  # until everything is imported, cached and connected
    cpu = cpu_of_server(port)
    requests, took = load.keep_busy(seconds)
    cpu = cpu_of_server(port) - cpu
    print(json.dumps({"requests_per_second": requests / took, "cpu_per_request": cpu / requests, "requests": requests}))
