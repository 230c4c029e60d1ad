"""Files stay readable: long ones are where work gets hard, so they must not creep up."""

from __future__ import annotations

import warnings

import pytest

from tests.tree.tree import files, relative

LINES_TO_NOTICE = 600
LINES_AT_MOST = 900

# Files that may be longer: how long at most, and why no noun is missing.
LONG_FILES: dict[str, tuple[int, str]] = {}

SOURCES = {".rs", ".py", ".pyi", ".sh"}


class LongFile(UserWarning):
    """A file grows long; which noun is missing?"""


def lengths():
    for path in files():
        if path.suffix in SOURCES:
            yield relative(path), path.read_bytes().count(b"\n")


@pytest.mark.filterwarnings("default::tests.tree.test_files.LongFile")
def test_no_source_file_is_too_long():
    too_long = {}
    for name, lines in lengths():
        limit, _reason = LONG_FILES.get(name, (LINES_AT_MOST, ""))
        if lines > limit:
            too_long[name] = f"{lines} lines, of {limit}"
        elif lines > LINES_TO_NOTICE and name not in LONG_FILES:
            warnings.warn(f"{name} has {lines} lines", LongFile, stacklevel=1)
    assert too_long == {}


def test_exceptions_are_still_needed():
    now = dict(lengths())
    assert [name for name in LONG_FILES if now.get(name, 0) <= LINES_AT_MOST] == []


def test_text_files_end_with_a_newline():
    suffixes = SOURCES | {".md", ".toml"}
    assert [
        relative(path)
        for path in files()
        if path.suffix in suffixes and (text := path.read_bytes()) and not text.endswith(b"\n")
    ] == []
