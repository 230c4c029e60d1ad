"""Runs uvloop's own tests, out of its source distribution, with another event loop in uvloop's place.

    python tests/conformance/uvloop_suite.py [--module test_tcp] [--loop asyncio] [--json out.json]

The distribution is downloaded by pip once, pinned by version and hash, and kept below `target/`.
"""

import contextlib
import hashlib
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import command
import expected_uvloop
import harness
import loops

VERSION = "0.23.0"
SHA256 = "28d160f51ab4da3b187063652e643dea6831072add4adc1e6d62afbe73b6be27"

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parents[1] / "target" / "uvloop-suite"
ARCHIVE = f"uvloop-{VERSION}.tar.gz"
DOWNLOAD_LIMIT = 120.0

#: The environment variable that tells the stand-in for uvloop where the sources are.
SOURCE = "UVLOOP_SOURCE"

#: Written down, since the tests are not there before they are downloaded; longest first.
MODULES = (
    "test_tcp",
    "test_process",
    "test_signals",
    "test_context",
    "test_unix",
    "test_base",
    "test_aiohttp",
    "test_dealloc",
    "test_dns",
    "test_executors",
    "test_pipes",
    "test_process_spawning",
    "test_regr1",
    "test_runner",
    "test_sockets",
    "test_testbase",
    "test_udp",
)


class NotDownloadedError(Exception):
    """The source distribution could not be had."""


def archive():
    """The path of the source distribution, downloaded if it is not there yet, and always of the pinned content."""
    kept = CACHE / ARCHIVE
    if not kept.is_file() or digest(kept) != SHA256:
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            download(pathlib.Path(folder))
            os.replace(pathlib.Path(folder, ARCHIVE), kept)
    return kept


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def download(folder):
    requirements = folder / "requirements.txt"
    requirements.write_text(f"uvloop=={VERSION} --hash=sha256:{SHA256}\n")
    # pip asks a source distribution for its metadata, and so needs what that builds with (as wheels); nothing is built.
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    pip += ["--no-binary", "uvloop", "--dest", str(folder), "--requirement", str(requirements)]
    try:
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT)
    except subprocess.TimeoutExpired:
        raise NotDownloadedError(f"pip did not download {ARCHIVE} within {DOWNLOAD_LIMIT:.0f} s") from None
    except subprocess.CalledProcessError as error:
        raise NotDownloadedError(f"pip could not download {ARCHIVE}:\n{error.stderr}") from None


@contextlib.contextmanager
def unpacked(archive):
    """The tests in the source distribution `archive`, and their base class, in a temporary folder as a `Suite`."""
    with tempfile.TemporaryDirectory(prefix="uvloop-suite-") as folder:
        top = f"uvloop-{VERSION}/"
        with tarfile.open(archive) as source:
            wanted = [
                member
                for member in source.getmembers()
                if member.name.startswith(top + "tests/") or member.name == top + "uvloop/_testbase.py"
            ]
            source.extractall(folder, wanted, filter="data")
        yield suite(pathlib.Path(folder, top))


def suite(source):
    return harness.Suite(
        name="uvloop",
        version=VERSION,
        package="tests",
        modules=MODULES,
        left_out=expected_uvloop.MODULES_LEFT_OUT,
        differences=expected_uvloop.DIFFERENCES,
        preparation="uvloop_substitute",
        asyncio_judges=True,
        environment={
            SOURCE: str(source),
            # The child programs of the tests import uvloop too.
            "PYTHONPATH": os.pathsep.join([str(HERE / "uvloop_stand_in"), str(source)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )


def modules_of(suite):
    """The names of all test modules that came with the unpacked `suite`, run or not."""
    return [path.stem for path in pathlib.Path(suite.environment[SOURCE], "tests").glob("test_*.py")]


def main():
    parser = command.parser(__doc__.partition("\n")[0])
    options = command.parse(parser)
    if not loops.is_tulipa(options.loop) and options.loop != loops.STOCK:
        parser.error(f"what stands in for uvloop is tulipa or {loops.STOCK}, not {options.loop}")
    try:
        source = archive()
    except NotDownloadedError as error:
        parser.error(str(error))
    with unpacked(source) as unpacked_suite:
        return command.run(unpacked_suite, options)


if __name__ == "__main__":
    sys.exit(main())
