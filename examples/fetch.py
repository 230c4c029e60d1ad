"""Fetch several URLs at once, each with a time limit.

    python fetch.py https://example.org https://example.net --seconds 5

One line per URL, in the order in which they were given: the status, the size and how long it took, or what went wrong.
A slow or dead server delays none of the others. The exit status is the number of URLs that failed.

Needs aiohttp, which knows nothing of tulipa: `tulipa.run` is all that differs from `asyncio.run`.
"""

import argparse
import asyncio
import sys
import time

import aiohttp

import tulipa


async def fetch(session, url):
    """Return whether `url` could be fetched, and a line about it."""
    begun = time.monotonic()
    try:
        async with session.get(url) as response:
            body = await response.read()
    except TimeoutError:
        return False, f"{url}: no answer after {time.monotonic() - begun:.1f} s"
    except aiohttp.ClientError as exc:
        return False, f"{url}: {exc}"
    return response.ok, f"{url}: {response.status}, {len(body):,} bytes in {time.monotonic() - begun:.2f} s"


async def main(urls, seconds, connections):
    timeout = aiohttp.ClientTimeout(total=seconds)
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetch(session, url)) for url in urls]
    for _, line in (results := [task.result() for task in tasks]):
        print(line)
    return sum(not fetched for fetched, _ in results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--seconds", type=float, default=10.0, help="time limit of each (default: 10)")
    parser.add_argument("--connections", type=int, default=100, help="how many at once (default: 100)")
    options = parser.parse_args()
    sys.exit(tulipa.run(main(options.urls, options.seconds, options.connections)))
