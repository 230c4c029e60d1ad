"""`tulipa pipe A B`: two addresses joined.

Lives here: the arguments, from opening to the exit status, and serving many connections. Not here: what an address is
(`addresses`, `kinds`), opening one (`opening`, `security`, `adapters`, `terminal`), what happens between two (`relay`),
and what is said (`report`, `failure`). Exit statuses:

| status | meaning |
|---|---|
| 0 | both directions have ended, and all bytes were passed on |
| 1 | something failed, and one line on standard error says what |
| 2 | the arguments or an address cannot be right |
| 130, 143, 129 | ended by Ctrl-C, SIGTERM or SIGHUP |
| 141 | whoever reads standard output went away, as for any filter in a shell |
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from typing import Any

import tulipa

from . import opening, terminal
from .addresses import Address, AddressError, read
from .failure import Failed
from .relay import End, Relay
from .report import Report

__all__ = ["add_arguments", "run"]

_BUFFER = 1024 * 1024
_LINGER = 5.0
_SIGNALLED = 128
_BROKEN_PIPE = _SIGNALLED + signal.SIGPIPE
# How long a child that outlives its pipe has after SIGTERM, in seconds.
_GRACE = 5.0

_TEXT = """\
Join two addresses: what is read from one is written to the other, in both
directions, until both have ended.

  stdio: or -             standard input and output        ,raw
  tcp:host:port           a connection                     ,ipv4 ,ipv6 ,timeout=S
  tcp-listen:[host:]port  one that comes in                ,fork ,ipv4 ,ipv6
  unix:path               the same on a Unix socket        ,timeout=S
  unix-listen:path                                         ,fork
  tls:host:port           tcp: with TLS                    ,ca= ,cert= ,key= ,alpn= ,name= ,insecure
  tls-listen:[host:]port  tcp-listen: with TLS             ,cert= ,key= ,ca= ,alpn=
  udp:host:port           datagrams                        ,size=
  udp-listen:[host:]port  datagrams of the first who sends ,size=
  file:path               read as A, written as B          ,read ,write ,append ,create
  pipe:path               the same for a named pipe        ,read ,write ,out=
  exec:command            a program's input and output     ,stderr ,cwd=
  pty:command             a program on a terminal          ,size=COLUMNSxLINES ,cwd=

tls+KIND: and tls-server+KIND: put TLS over any stream. IPv6 addresses stand in
brackets; quotes and backslashes work as in the shell.
Reference: docs/reference/pipe.md"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell the parser of `tulipa pipe` what there is."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = _TEXT
    parser.add_argument("first", metavar="A", help="the first address")
    parser.add_argument("second", metavar="B", help="the second address")
    one_way = parser.add_mutually_exclusive_group()
    one_way.add_argument("-u", dest="forward_only", action="store_true", help="from A to B only")
    one_way.add_argument("-U", dest="backward_only", action="store_true", help="from B to A only")
    parser.add_argument(
        "--buffer",
        metavar="BYTES",
        type=_size,
        default=_BUFFER,
        help="how much may wait to be written to one end; K and M are understood (default: 1M)",
    )
    parser.add_argument(
        "--linger",
        metavar="SECONDS",
        type=_seconds,
        default=_LINGER,
        help="how long an end that cannot be told that no more comes may be silent before it is closed (default: 5)",
    )
    parser.add_argument("--stats", action="store_true", help="say how much has passed; on a terminal, all along")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is listened on and who connects")


def _size(text: str) -> int:
    unit = {"K": 1024, "M": 1024**2, "G": 1024**3}.get(text[-1:].upper(), 1)
    digits = text[:-1] if unit > 1 else text
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) * unit < sys.maxsize):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes")
    return int(digits) * unit


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Join the two addresses; return the exit status."""
    try:
        pipe = _Pipe(read(options.first), read(options.second), options)
    except AddressError as exc:
        parser.error(str(exc))
    try:
        return tulipa.run(pipe.run())
    except KeyboardInterrupt:
        return _SIGNALLED + signal.SIGINT
    finally:
        terminal.restore()


class _Pipe:
    """One run of the command."""

    def __init__(self, first: Address, second: Address, options: argparse.Namespace) -> None:
        self._addresses = (first, second)
        self._options = options
        self._report = Report(stats=options.stats, verbose=options.verbose)
        forks = ["fork" in address.options for address in self._addresses]
        if all(forks):
            raise AddressError(f"{second}: only one of the two can serve many connections")
        self._forking = forks.index(True) if any(forks) else None
        (first_reads, first_writes), (second_reads, second_writes) = (
            address.directions(is_first=place == 0) for place, address in enumerate(self._addresses)
        )
        self._forward = first_reads and second_writes and not options.backward_only
        self._backward = second_reads and first_writes and not options.forward_only
        if not self._forward and not self._backward:
            raise AddressError(f"{first}, {second}: no direction is left: one end has to be read and the other written")
        self._ended_by: signal.Signals | None = None

    async def run(self) -> int:
        """Do it; return the exit status."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end_by, number, task)
        try:
            if self._forking is None:
                await self._join_one()
            else:
                await self._serve()
        except Failed as failure:
            if failure.is_quiet:
                return _BROKEN_PIPE
            self._report.complain(str(failure))
            return 1
        except asyncio.CancelledError:
            if self._ended_by is None:
                raise
            return _SIGNALLED + self._ended_by
        finally:
            terminal.restore()
            self._report.finish()
        return 0

    def _end_by(self, number: signal.Signals, task: asyncio.Task[Any]) -> None:
        self._ended_by = number
        task.cancel()

    async def _join_one(self) -> None:
        first = await self._open(0)
        try:
            second = await self._open(1)
        except BaseException:
            await self._dismiss(first)
            raise
        await self._relay(first, second)

    async def _open(self, place: int) -> End:
        address = self._addresses[place]
        reads, writes = (self._forward, self._backward) if place == 0 else (self._backward, self._forward)
        try:
            return await opening.open_end(address, reads, writes, self._report.say)
        except (OSError, ValueError, RuntimeError) as exc:
            raise Failed(address, exc) from None

    async def _relay(self, first: End, second: End) -> None:
        options = self._options
        relay = Relay(
            first, second, forward=self._forward, backward=self._backward, buffer=options.buffer, linger=options.linger
        )
        self._report.begin(relay)
        try:
            await relay.run()
        except BaseException:
            await self._dismiss(first, second)
            raise
        finally:
            self._report.end(relay)
        if relay.failure is not None:
            await self._dismiss(first, second)
            raise Failed(*relay.failure)
        for end in (first, second):
            if end.child is not None:
                self._check_child(end, await end.child.wait())

    def _check_child(self, end: End, status: int) -> None:
        if status > 0:
            raise Failed(end.address, RuntimeError(f"the command has ended with status {status}"))
        # A terminal that goes away hangs up, which is how its programs end.
        if status < 0 and not (end.address.kind.name == "pty" and -status == signal.SIGHUP):
            raise Failed(end.address, RuntimeError(f"the command was ended by {signal.Signals(-status).name}"))

    async def _dismiss(self, *ends: End) -> None:
        """Drop ends, and see that their children end."""
        for end in ends:
            end.abort()
        for end in ends:
            if end.child is not None and end.child.get_returncode() is None:
                end.child.terminate()
                try:
                    async with asyncio.timeout(_GRACE):
                        await end.child.wait()
                except TimeoutError:
                    end.child.kill()
                    await end.child.wait()

    # -- many connections -------------------------------------------------------------

    async def _serve(self) -> None:
        assert self._forking is not None
        address = self._addresses[self._forking]
        try:
            async with (
                contextlib.aclosing(opening.accept_all(address, self._report.say)) as connections,
                asyncio.TaskGroup() as group,
            ):
                async for make in connections:
                    group.create_task(self._serve_one(make))
        except (OSError, ValueError) as exc:
            raise Failed(address, exc) from None

    async def _serve_one(self, make: Any) -> None:
        """Serve one connection. What fails is reported, and the others go on."""
        assert self._forking is not None
        place = self._forking
        try:
            try:
                accepted = await make()
            except OSError as exc:
                raise Failed(self._addresses[place], exc) from None
            try:
                opened = await self._open(1 - place)
            except BaseException:
                await self._dismiss(accepted)
                raise
            await self._relay(*((accepted, opened) if place == 0 else (opened, accepted)))
        except Failed as failure:
            self._report.complain(str(failure))
