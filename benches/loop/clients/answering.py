"""A server that does no more than answer, for the workloads in which the loop is the client."""

from __future__ import annotations

import select
import socket

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"
BUFFER = 256 * 1024


def listening() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sock.setblocking(False)
    return sock


def answer(server: socket.socket, http: bool, control: socket.socket) -> None:
    """Until the other end of `control` is closed."""
    poller = select.epoll()
    poller.register(server, select.EPOLLIN)
    poller.register(control, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for fd, _ in poller.poll():
            if fd == control.fileno():
                return
            if fd == server.fileno():
                accept(server, poller, connections)
            else:
                reply(connections[fd], http, connections)


def accept(server: socket.socket, poller: select.epoll, connections: dict[int, socket.socket]) -> None:
    while True:
        try:
            sock, _ = server.accept()
        except BlockingIOError:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[sock.fileno()] = sock
        poller.register(sock, select.EPOLLIN)


def reply(sock: socket.socket, http: bool, connections: dict[int, socket.socket]) -> None:
    try:
        data = sock.recv(BUFFER)
        if data:
            sock.sendall(RESPONSE * data.count(b"\r\n\r\n") if http else data)
            return
    except ConnectionError:
        pass
    del connections[sock.fileno()]
    sock.close()
