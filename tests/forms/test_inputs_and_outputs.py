"""`tulipa.Input` and `tulipa.Output` over files of the program's own. # P7 # G17"""

import asyncio
import gc
import os
import weakref

import pytest

import tulipa
from tests.support.descriptors import pipe_files
from tests.support.streams import turns

pytestmark = [pytest.mark.only_tulipa, pytest.mark.all_drivers]


async def test_a_pipe_is_read_and_closed(loop):
    with pipe_files() as (reader, writer):
        async with tulipa.Input(reader) as source:
            writer.write(b"one\ntwo")
            assert await source.readline() == b"one\n"
            writer.close()
            assert [line async for line in source] == [b"two"]
            assert source.at_end()
            assert source.position == 7
            assert source.size is None
        assert source.closed
        assert reader.closed
        with pytest.raises(ValueError, match="is closed"):
            await source.read()


async def test_a_pipe_is_written_and_closed(loop):
    with pipe_files() as (reader, writer):
        async with tulipa.Output(writer, text=True) as sink:
            sink.write("z\u00fcrich")
            await sink.flush()
            assert (sink.position, sink.size) == (7, None)
            sink.writelines(["a", "b"])
        assert writer.closed
        assert reader.read() == "z\u00fcrichab".encode()
        with pytest.raises(ValueError, match="is closed"):
            sink.write("more")


async def test_a_file_is_read_with_its_position_and_size(loop, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"skipped|" + b"line\n" * 50_000)
    file = path.open("rb", 0)
    file.seek(8)
    async with tulipa.Input(file) as source:
        assert source.size == 250_008
        assert source.position == 8
        lines = [line async for line in source]
        assert len(lines) == 50_000
        assert source.position == source.size
    assert file.closed


@pytest.mark.parametrize(("mode", "begin"), [("wb", 0), ("ab", 5), ("r+b", 2)])
async def test_a_file_is_written_with_its_position_and_size(loop, tmp_path, mode, begin):
    path = tmp_path / "file"
    path.write_bytes(b"there")
    file = path.open(mode, 0)
    if mode == "r+b":
        file.seek(2)
    async with tulipa.Output(file) as sink:
        assert sink.position == begin
        for _ in range(10):
            sink.write(bytes(100_000))
            await sink.drain()
        await sink.flush()
        assert sink.position == sink.size == begin + 1_000_000
    assert path.stat().st_size == begin + 1_000_000
    assert path.read_bytes()[:begin] == b"there"[:begin]


async def test_lines_and_chunks_of_any_size_come_out_as_they_went_in(loop):
    data = b"".join(bytes([65 + length % 26]) * length + b"\n" for length in range(700)) + b"end"
    with pipe_files() as (reader, writer):
        async with tulipa.Input(reader) as source:

            async def feed():
                position = 0
                for size in (1, 7, 500, 4096, 10_000):
                    for _ in range(12):
                        await tulipa.wait_writable(writer)
                        writer.write(data[position : position + size])
                        position += size
                        await asyncio.sleep(0)
                await loop.run_in_executor(None, writer.write, data[position:])
                writer.close()

            feeding = loop.create_task(feed())
            got = [await source.readexactly(5), await source.read(3), await source.readline()]
            got += [line async for line in source]
            await feeding
            assert b"".join(got) == data
            assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in got[3:-1])


async def test_a_flush_and_a_write_after_it(loop):
    with pipe_files() as (reader, writer):
        async with tulipa.Output(writer) as sink:
            received = []

            def read():
                while data := os.read(reader.fileno(), 65536):
                    received.append(len(data))

            reading = loop.run_in_executor(None, read)
            for _ in range(5):
                sink.write(bytes(300_000))
                await asyncio.gather(sink.flush(), sink.flush(), sink.drain())
                assert sink.transport.get_write_buffer_size() == 0
                assert sink.transport.get_write_buffer_limits() == (16384, 65536)
        await reading
        assert sum(received) == 1_500_000


async def test_what_is_refused_leaves_nothing(loop):
    with pipe_files() as (reader, writer):
        with pytest.raises(LookupError, match="no-such"):
            tulipa.Input(reader, encoding="no-such")
        with pytest.raises(LookupError, match="no-such"):
            tulipa.Output(writer, encoding="no-such")
        reader.close()
        with pytest.raises(ValueError, match="closed"):
            tulipa.Input(reader)
    assert loop._idle_checks == set()


async def test_they_are_collected_when_closed(loop):  # R9
    references = []
    for _ in range(3):
        with pipe_files() as (reader, writer):
            async with tulipa.Input(reader) as source, tulipa.Output(writer) as sink:
                sink.write(b"x")
                assert await source.read(1) == b"x"
                references += [weakref.ref(source), weakref.ref(sink)]
            del source, sink
    await turns(4)
    gc.collect()
    await turns(2)
    gc.collect()
    assert [reference() for reference in references] == [None] * 6
