"""70 MB to a slow reader, while the rest of the program keeps its pace. # V1"""

import asyncio
import resource
import socket

import pytest

from tests.support.descriptors import small_buffers
from tests.support.streams import raw_pair

TOTAL = 70_000_000
PERIOD = 0.010

pytestmark = pytest.mark.all_drivers


class Ticker:
    """Ticks 10 ms after each tick, and notes by how much each came late through the loop's fault.

    On a busy machine a thread that could run waits for a processor, and no loop can help that. Linux counts the time
    that a thread has so waited, and it is taken off.
    """

    def __init__(self, loop):
        self.loop = loop
        self.late = []
        self.schedule()

    def schedule(self):
        self.machine = waited_for_a_processor()
        self.due = self.loop.time() + PERIOD
        self.handle = self.loop.call_at(self.due, self.tick)

    def tick(self):
        self.note()
        self.schedule()

    def note(self):
        late = self.loop.time() - self.due
        self.late.append(late - (waited_for_a_processor() - self.machine))

    def stop(self):
        """A tick that is overdue counts, too: else starving the ticker altogether would go unseen."""
        self.handle.cancel()
        if self.loop.time() > self.due:
            self.note()

    def lateness(self, share):
        """What this share of the ticks did not exceed."""
        late = sorted(self.late) or [0.0]
        return late[int(len(late) * share)]


def waited_for_a_processor():
    """For how many seconds this thread was kept waiting though it could run (0.0 where the kernel does not say)."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0.0


async def slow_reader(loop, sock, pause):
    """Reads in bursts with pauses in between, checks that the bytes count up, gives their number."""
    total = 0
    buffer = bytearray(1 << 20)
    while True:
        count = await loop.sock_recv_into(sock, buffer)
        if not count:
            return total
        assert buffer[0] == total % 251
        assert buffer[count - 1] == (total + count - 1) % 251
        total += count
        if pause:
            await asyncio.sleep(pause)


def pattern(size):
    """`size` bytes whose value tells their place."""
    unit = bytes(range(251))
    return (unit * (size // 251 + 1))[:size]


async def test_a_sender_with_flow_control_keeps_memory_bounded_and_the_ticker_on_time(loop):
    left, right = raw_pair("tcp")
    small_buffers(left, right, size=1 << 18)
    with right:
        _, writer = await asyncio.open_connection(sock=left)
        ticker = Ticker(loop)
        reading = loop.create_task(slow_reader(loop, right, 0.001))
        unit = pattern(251 * 400)
        sent = most = 0
        while sent < TOTAL:
            data = unit[: min(len(unit), TOTAL - sent)]
            writer.write(data)
            sent += len(data)
            most = max(most, writer.transport.get_write_buffer_size())
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert await reading == TOTAL
        ticker.stop()
        assert most <= 64 * 1024 + len(unit), "the sender was not held back"
        assert ticker.lateness(0.95) < PERIOD, f"the ticker drifted: {sorted(ticker.late)[-5:]}"


async def test_one_gigantic_write_arrives_whole_beside_a_ticker(loop):
    left, right = raw_pair("tcp")
    with right:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        data = pattern(TOTAL)
        ticker = Ticker(loop)
        reading = loop.create_task(slow_reader(loop, right, 0))
        transport.write(data)
        transport.close()
        assert await reading == TOTAL
        ticker.stop()
        assert ticker.lateness(0.9) < 5 * PERIOD, f"the ticker drifted: {sorted(ticker.late)[-5:]}"


async def test_the_memory_of_a_receiver_stays_bounded(loop):
    """A protocol that counts and drops: the process must not grow with the stream."""

    class Counter(asyncio.Protocol):
        total = 0

        def data_received(self, data):
            self.total += len(data)

        def connection_lost(self, error):
            done.set_result(self.total)

    done = loop.create_future()
    left, right = raw_pair("tcp")
    await loop.create_connection(Counter, sock=left)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with right:
        chunk = bytes(1 << 20)
        for _ in range(64):
            await loop.sock_sendall(right, chunk)
        right.shutdown(socket.SHUT_WR)
        assert await done == 64 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16_000
