"""`connect_read_pipe` and `connect_write_pipe` on regular files and directories. # P5 # P6 # R4 # T25"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import sys
import tempfile

import pytest

from tests.support.descriptors import open_descriptors, threads_named
from tests.support.programs import check_program, run_program
from tests.support.recorders import BufferedRecorder, Recorder

pytestmark = [pytest.mark.all_drivers, pytest.mark.only_tulipa]

CHUNK = 256 * 1024  # the most that one callback brings
OURS = "tulipa-files"


@pytest.fixture
def file():
    """A file without a name, open for both."""
    with tempfile.TemporaryFile(buffering=0) as file:
        yield file


def filled(file, content):
    file.write(content)
    file.seek(0)
    return file


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_file_is_read_to_its_end(loop, file):  # P5
    data = os.urandom(1_000_000)
    transport, protocol = await loop.connect_read_pipe(Recorder, filled(file, data))
    await protocol.until("connection_lost")
    assert protocol.data == data
    assert protocol.events == ["connection_made", "data_received", "eof_received", "connection_lost"]
    assert protocol.error is None
    assert file.closed


async def test_an_empty_file_is_at_its_end(loop, file):  # P5
    _, protocol = await loop.connect_read_pipe(Recorder, file)
    await protocol.until("connection_lost")
    assert protocol.events == ["connection_made", "eof_received", "connection_lost"]


async def test_a_stream_reader_over_a_file(loop, file):
    reader = asyncio.StreamReader()
    filled(file, b"one\ntwo\nrest")
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    assert await reader.readline() == b"one\n"
    assert await reader.readuntil(b"\n") == b"two\n"
    assert await reader.read() == b"rest"


async def test_a_buffered_protocol_over_a_file(loop, file):
    data = os.urandom(10_000)
    _, protocol = await loop.connect_read_pipe(lambda: BufferedRecorder(700), filled(file, data))
    await protocol.until("connection_lost")
    assert protocol.data == data


async def test_what_is_appended_before_the_end_is_seen_is_read_too(loop, file):
    filled(file, b"begin")

    class Growing(Recorder):
        def data_received(self, data):
            if len(self.data) < 100:
                os.pwrite(file.fileno(), b"+" * 10, os.fstat(file.fileno()).st_size)
            super().data_received(data)

    _, protocol = await loop.connect_read_pipe(Growing, file)
    await protocol.until("connection_lost")
    assert protocol.data.startswith(b"begin+") and len(protocol.data) > 100


async def test_reading_starts_at_the_position_that_others_share(loop, file):  # P6
    filled(file, b"theirs ours")
    shared = os.dup(file.fileno())
    try:
        assert os.read(shared, 7) == b"theirs "
        _, protocol = await loop.connect_read_pipe(Recorder, file)
        await protocol.until("connection_lost")
        assert protocol.data == b"ours"
        assert os.lseek(shared, 0, os.SEEK_CUR) == 11
    finally:
        os.close(shared)


async def test_a_paused_reader_takes_nothing_more_from_the_description(loop, file):  # P6 G17
    filled(file, bytes(3 * CHUNK))
    shared = os.dup(file.fileno())

    class Pausing(Recorder):
        def data_received(self, data):
            self.transport.pause_reading()
            super().data_received(data)

    try:
        transport, protocol = await loop.connect_read_pipe(Pausing, file)
        for count in range(1, 4):
            await protocol.until_data(count * CHUNK)
            await turns()
            assert os.lseek(shared, 0, os.SEEK_CUR) == len(protocol.data)
            transport.resume_reading()
        await protocol.until("connection_lost")
        assert len(protocol.data) == 3 * CHUNK
    finally:
        os.close(shared)


@pytest.mark.parametrize("steps", range(8))
async def test_what_was_not_delivered_is_left_to_the_next_reader(loop, file, steps):  # P6 R4
    filled(file, os.urandom(2 * CHUNK))
    shared = os.dup(file.fileno())
    try:
        transport, protocol = await loop.connect_read_pipe(Recorder, file)
        await turns(steps)
        transport.close()
        await protocol.until("connection_lost")
        assert os.lseek(shared, 0, os.SEEK_CUR) == len(protocol.data)
    finally:
        os.close(shared)


async def test_writes_keep_their_order(loop, file):
    kept = os.dup(file.fileno())
    transport, protocol = await loop.connect_write_pipe(Recorder, file)
    pieces = [b"%d," % number for number in range(3000)] + [os.urandom(3_000_000), b"end"]
    for piece in pieces:
        transport.write(piece)
        if len(piece) % 3 == 0:
            await asyncio.sleep(0)
    transport.close()
    await protocol.until("connection_lost")
    assert os.pread(kept, 4_000_000, 0) == b"".join(pieces)
    assert protocol.error is None
    os.close(kept)


async def test_write_eof_writes_what_is_left_and_closes(loop, file):  # P7
    kept = os.dup(file.fileno())
    transport, protocol = await loop.connect_write_pipe(Recorder, file)
    assert transport.can_write_eof()
    transport.writelines([bytes(100_000), bytearray(100_000)])
    transport.write_eof()
    await protocol.until("connection_lost")
    assert os.fstat(kept).st_size == 200_000
    os.close(kept)


async def test_appending_writes_go_to_the_end_whoever_else_appends(loop, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"first\n")
    transport, protocol = await loop.connect_write_pipe(Recorder, open(path, "ab", 0))
    transport.write(b"second\n")
    await turns()
    while path.read_bytes().count(b"\n") < 2:
        await asyncio.sleep(0.001)
    with open(path, "ab") as other:
        other.write(b"third\n")
    transport.write(b"fourth\n")
    transport.close()
    await protocol.until("connection_lost")
    assert path.read_bytes() == b"first\nsecond\nthird\nfourth\n"


async def test_what_is_not_written_yet_counts_against_the_marks(loop, file):  # G17 T15
    transport, protocol = await loop.connect_write_pipe(Recorder, file)
    transport.set_write_buffer_limits(high=100_000, low=20_000)
    transport.write(bytes(500_000))
    assert protocol.events == ["connection_made", "pause_writing"]
    assert transport.get_write_buffer_size() == 500_000
    await protocol.until("resume_writing")
    assert transport.get_write_buffer_size() == 0
    transport.close()
    await protocol.until("connection_lost")


async def test_writing_in_connection_made_is_writing_too(loop, file):
    kept = os.dup(file.fileno())

    class Early(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"early ")
            assert transport.get_write_buffer_size() == 6

    transport, protocol = await loop.connect_write_pipe(Early, file)
    transport.write(b"later")
    transport.close()
    await protocol.until("connection_lost")
    assert os.pread(kept, 100, 0) == b"early later"
    os.close(kept)


async def test_a_write_that_the_system_refuses_ends_the_transport(loop, file):  # R8
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        kept = os.dup(file.fileno())
        transport, protocol = await loop.connect_write_pipe(Recorder, file)
        transport.write(bytes(250_000))
        await protocol.until("connection_lost")
        assert isinstance(protocol.error, OSError) and protocol.error.errno == errno.EFBIG
        assert os.fstat(kept).st_size == 100_000
        os.close(kept)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_a_file_for_both_is_read_and_written_by_two_transports(loop, tmp_path):
    path = tmp_path / "both"
    path.write_bytes(b"before")
    reading, protocol = await loop.connect_read_pipe(Recorder, open(path, "r+b", 0))
    await protocol.until("connection_lost")
    writing, protocol = await loop.connect_write_pipe(Recorder, open(path, "r+b", 0))
    writing.write(b"AFTER")
    writing.close()
    await protocol.until("connection_lost")
    assert path.read_bytes() == b"AFTERe"


async def test_the_flags_of_the_description_stay(loop, file):  # P6
    import fcntl

    before = fcntl.fcntl(file, fcntl.F_GETFL)
    shared = os.dup(file.fileno())
    _, protocol = await loop.connect_read_pipe(Recorder, filled(file, b"x"))
    assert fcntl.fcntl(shared, fcntl.F_GETFL) == before
    await protocol.until("connection_lost")
    assert fcntl.fcntl(shared, fcntl.F_GETFL) == before
    os.close(shared)


@pytest.mark.parametrize("direction", ["read", "write"])
async def test_a_folder_is_refused_in_words(loop, tmp_path, direction):  # P5 G11
    number = os.open(tmp_path, os.O_RDONLY)
    connect = loop.connect_read_pipe if direction == "read" else loop.connect_write_pipe

    class Folder:
        def fileno(self):
            return number

        def close(self):
            pass

    with pytest.raises(ValueError, match=f"{number}.*directory"):
        await connect(Recorder, Folder())
    os.close(number)


async def test_the_wrong_direction_is_refused_in_words(loop, tmp_path):  # P5 G11
    path = tmp_path / "file"
    with open(path, "wb", 0) as written, open(path, "rb", 0) as read:
        with pytest.raises(ValueError, match=f"{written.fileno()} is open for writing only.*connect_write_pipe"):
            await loop.connect_read_pipe(Recorder, written)
        with pytest.raises(ValueError, match=f"{read.fileno()} is open for reading only.*connect_read_pipe"):
            await loop.connect_write_pipe(Recorder, read)


async def test_a_number_that_is_closed_is_named(loop, file):  # P5 G11
    number = os.dup(file.fileno())
    lost = os.fdopen(number, "rb", 0, closefd=False)
    os.close(number)
    with pytest.raises(ValueError, match=f"descriptor {number} is closed"):
        await loop.connect_read_pipe(Recorder, lost)


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("ending", ["cancel", "close", "abort", "error"])
async def test_no_step_leaks_a_descriptor(loop, tmp_path, steps, ending):  # R5
    path = tmp_path / "file"
    path.write_bytes(bytes(CHUNK))
    before = open_descriptors()

    class Failing(Recorder):
        def data_received(self, data):
            super().data_received(data)
            if ending == "error":
                self.transport.abort()

    for reading in (True, False):
        file = open(path, "rb" if reading else "ab", 0)
        connect = loop.connect_read_pipe if reading else loop.connect_write_pipe
        task = loop.create_task(connect(Failing, file))
        if ending == "cancel":
            await turns(steps)
            task.cancel()
        try:
            transport, protocol = await task
        except asyncio.CancelledError:
            if steps == 0:
                file.close()  # the call has not begun
            while not file.closed:
                await asyncio.sleep(0)
            continue
        if not reading:
            transport.write(bytes(100))
        await turns(steps)
        transport.abort() if ending == "abort" else transport.close()
        await protocol.until("connection_lost")
        assert file.closed
    # A write that was begun has its number until it is done.
    while open_descriptors() != before:
        await asyncio.sleep(0.001)


async def test_threads_are_few_and_end(loop):
    async def read_all(number):
        file = tempfile.TemporaryFile(buffering=0)
        _, protocol = await loop.connect_read_pipe(Recorder, filled(file, bytes(number * 1000)))
        await protocol.until("connection_lost")
        return len(protocol.data)

    sizes = await asyncio.gather(*(read_all(number) for number in range(60)))
    assert sizes == [number * 1000 for number in range(60)]
    assert threads_named(OURS) <= 8
    while threads_named(OURS):
        await asyncio.sleep(0.01)


async def test_idle_files_cost_no_thread(loop):
    with tempfile.TemporaryDirectory() as folder:
        transports = []
        for number in range(50):
            transport, protocol = await loop.connect_write_pipe(Recorder, open(f"{folder}/{number}", "wb", 0))
            transports.append((transport, protocol))
        await turns()
        assert threads_named(OURS) == 0
        for transport, protocol in transports:
            transport.close()
            await protocol.until("connection_lost")


def test_nothing_that_was_written_is_lost_when_the_loop_ends(backend, tmp_path):  # R8
    source = """
        import sys
        async def main():
            loop = asyncio.get_running_loop()
            output, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
            for number in range(5000):
                output.write(b"%d\\n" % number * 100)
        run(main())
    """
    expected = b"".join(b"%d\n" % number * 100 for number in range(5000))
    with open(tmp_path / "out", "w+b") as out:
        command = [sys.executable, "-c", backend.preamble + __import__("textwrap").dedent(source)]
        subprocess.run(command, stdout=out, check=True, timeout=25)
        out.seek(0)
        assert out.read() == expected


def test_two_programs_share_a_file_one_after_another(backend, tmp_path):  # P6
    """`(a; b) < f`: the first takes a line and ends, the second finds the rest."""
    path = tmp_path / "file"
    path.write_bytes(b"".join(b"line %05d of some text\n" % number for number in range(30_000)))
    source = """
        import sys
        class First(asyncio.Protocol):
            def connection_made(self, transport): self.transport = transport
            def data_received(self, data):
                print(len(data), flush=True)
                self.transport.close()
            def connection_lost(self, error): done.set_result(None)
        async def main():
            global done
            done = asyncio.get_running_loop().create_future()
            await asyncio.get_running_loop().connect_read_pipe(First, sys.stdin)
            await done
        run(main())
    """
    with open(path, "rb", 0) as shared:
        taken = int(check_program(backend, source, stdin=shared))
        rest = subprocess.run(["cat"], stdin=shared, capture_output=True, check=True).stdout
    assert 0 < taken < 700_000
    assert rest == path.read_bytes()[taken:]


def test_a_large_file_flows_in_bounded_memory_past_a_ticker(backend, tmp_path):  # V1
    """300 MB without a copy on a disk: the file is sparse."""
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(300_000_000)
    source = """
        import resource, sys
        class Count(asyncio.Protocol):
            total = 0
            def data_received(self, data): self.total += len(data)
            def connection_lost(self, error): done.set_result(error)
        async def tick():
            while True:
                ticks.append(None)
                await asyncio.sleep(0)
        async def main():
            global done, ticks
            ticks = []
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            loop.slow_callback_duration = 60
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            ticking = loop.create_task(tick())
            _, protocol = await loop.connect_read_pipe(Count, open(sys.argv[1], "rb", 0))
            assert await done is None
            ticking.cancel()
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            # A turn for every chunk at least, and some megabytes.
            print(protocol.total, len(ticks) > 1000, used < 30_000)
        run(main())
    """
    assert check_program(backend, source, str(path)) == "300000000 True True\n"


@pytest.mark.parametrize("numbers", ["0", "1", "012"])
def test_standard_streams_that_are_closed_stay_so(backend, tmp_path, numbers):  # T37
    """Nothing of the loop's gets the numbers 0 to 2, not even for files and their threads."""
    source = """
        import os, sys
        def standard():
            return [os.path.exists(f"/proc/self/fd/{number}") for number in range(3)]
        class Noting(asyncio.Protocol):
            def data_received(self, data): seen.append(standard())
            def connection_lost(self, error): done.set_result(None)
        async def main():
            global done
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            await loop.connect_read_pipe(Noting, open(100, "rb", 0))
            await done
            output, _ = await loop.connect_write_pipe(asyncio.Protocol, open(101, "wb", 0))
            seen.append(standard())
            output.write(repr(seen == [before, before]).encode())
            output.close()
            await asyncio.sleep(0.01)
        os.dup2(os.open(sys.argv[1], os.O_RDONLY), 100)
        os.dup2(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT), 101)
        os.closerange(3, 100)
        for number in map(int, sys.argv[3:]):
            os.close(number)
        before, seen = standard(), []
        run(main())
    """
    path, result = tmp_path / "file", tmp_path / "result"
    path.write_bytes(b"text")
    done = run_program(backend, source, str(path), str(result), *numbers)
    assert result.read_text() == "True", done.stderr
