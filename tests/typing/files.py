"""Files: what opening gives, and what each call does."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import assert_type

import tulipa


async def use(path: Path) -> None:
    file = await tulipa.open_file(path, "w+")
    assert_type(file, tulipa.File)
    assert_type(file.read_at(0, 1), asyncio.Future[bytes])
    assert_type(await file.write_at(0, bytearray(b"tulip")), int)
    assert_type(await file.write(memoryview(b"tulip")), int)
    assert_type(await file.read(), bytes)
    await file.sync(metadata=True)
    await file.truncate(3)
    assert_type(await file.size(), int)
    file.position = 0
    async for chunk in file:
        assert_type(chunk, bytes)
    await file.close()
    async with tulipa.open_file(os.open(path, os.O_RDONLY)) as lent:
        assert_type(lent, tulipa.File)
        assert_type(lent.name, str | bytes | int)


with tempfile.TemporaryDirectory() as folder:
    tulipa.run(use(Path(folder) / "file"))
