"""A thousand short processes leave no zombie, no descriptor and no thread."""

import asyncio
import os

import pytest

from tests.support.children import children
from tests.support.descriptors import open_descriptors
from tests.support.streams import until

PIPE = asyncio.subprocess.PIPE


def threads():
    return len(os.listdir("/proc/self/task"))


@pytest.mark.timeout(90)
def test_a_thousand_short_processes_leave_nothing(loop, run):
    async def one(number):
        if number % 10 == 0:
            with pytest.raises(FileNotFoundError):
                await asyncio.create_subprocess_exec("/missing", stdin=PIPE, stdout=PIPE, stderr=PIPE)
        elif number % 10 == 1:
            process = await asyncio.create_subprocess_exec("echo", str(number), stdout=PIPE, stderr=PIPE)
            assert await process.communicate() == (b"%d\n" % number, b"")
            assert process.returncode == 0
        else:
            process = await asyncio.create_subprocess_exec("true")
            assert await process.wait() == 0

    async def worker(numbers):
        for number in numbers:
            await one(number)

    async def main():
        await asyncio.gather(*map(one, range(20)))
        before = open_descriptors(), threads()
        numbers = iter(range(1000))
        await asyncio.gather(*(worker(numbers) for _ in range(10)))
        assert not children()
        assert open_descriptors().keys() <= before[0].keys()
        # asyncio's threads that wait for children end a moment after them, before 3.12.
        await until(lambda: threads() <= before[1])

    run(main(), 80)


@pytest.mark.only_tulipa
@pytest.mark.timeout(60)
def test_memory_lent_to_children_comes_back(loop, run):
    """A start lends some 30 KiB; a thousand that are kept would be seen."""

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    async def some(number):
        for _ in range(number):
            process = await asyncio.create_subprocess_exec("true")
            await process.wait()
            with pytest.raises(FileNotFoundError):
                await asyncio.create_subprocess_exec("/missing")

    async def main():
        await some(50)
        before = resident()
        await some(250)
        assert resident() - before < 4_000_000

    run(main(), 50)
