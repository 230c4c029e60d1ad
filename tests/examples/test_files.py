"""The program that reads and writes a file at offsets."""

from __future__ import annotations

from tests.examples.programs import run


def test_a_file_is_read_at_an_offset_extended_and_read_as_a_stream(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"some text\n" * 1000)
    done = run("file_at_offsets.py", path)
    assert done.returncode == 0, done.stderr
    first, *chunks = done.stdout.splitlines()
    assert first == f"begins with {(b'some text' + bytes([10])) * 4!r}"
    assert sum(int(line.split()[0]) for line in chunks) == 10_008
    assert path.read_bytes().endswith(b"some text\nthe end\n")
