"""Building the limit, `limit.c`, with the C compiler and the OpenSSL that Python itself has loaded."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("limit.c")
PROGRAM = "limit"


class NoCompiler(Exception):
    """The limit cannot be built here, and why."""


def loaded_openssl() -> list[str]:
    """The files of libssl and libcrypto in this process; none where they are part of the interpreter."""
    import ssl  # noqa: F401

    files = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    return sorted(
        file for file in files if Path(file).name.startswith(("libssl.", "libcrypto.", "libssl-", "libcrypto-"))
    )


def build(folder: Path) -> None:
    """Leave the program in a folder."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompiler("no C compiler `cc` on PATH")
    libraries = loaded_openssl()
    with_tls = ["-DWITH_TLS", *(f"-Wl,-rpath,{Path(file).parent}" for file in libraries)] if libraries else []
    done = subprocess.run(
        [compiler, "-O2", *with_tls, "-o", folder / PROGRAM, SOURCE, *libraries, "-lpthread"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NoCompiler(f"cc failed: {done.stderr.strip().splitlines()[-1:]}")
