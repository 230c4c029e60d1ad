"""The walls between the rooms of the tree hold (scripts/check_walls.py), and the checker sees a breach."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.tree.tree import ROOT

specification = importlib.util.spec_from_file_location("check_walls", ROOT / "scripts/check_walls.py")
walls = importlib.util.module_from_spec(specification)
sys.modules["check_walls"] = walls
specification.loader.exec_module(walls)


@pytest.mark.parametrize("check", walls.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_wall_stands(check):
    if check is walls.check_core_builds_bare and walls.bare_target() is None:
        pytest.skip("no target without an operating system is installed")
    assert list(check()) == []


def test_imports_of_rust_are_seen_through_groups_and_lines():
    code = "use std::{net::TcpStream,\n    time::{Duration, Instant as Now}};\npub(crate) use crate::sim;"
    assert list(walls.rust_imports(code)) == [
        "std::net::TcpStream",
        "std::time::Duration",
        "std::time::Instant",
        "crate::sim",
    ]


def test_comments_literals_and_test_modules_are_no_code(tmp_path):
    path = tmp_path / "file.rs"
    path.write_text(
        "fn f<'a>() { g(\"unsafe\", 'u') } // unsafe\n/* unsafe */ struct S;\n"
        "#[cfg(test)]\nmod tests {\n    use std::thread;\n}\n"
    )
    code = walls.rust_code(path)
    assert "unsafe" not in code
    assert "struct S" in code
    assert "thread" not in code


@pytest.mark.parametrize(
    "text",
    ["std::net::TcpStream", "let now = std::time::Instant::now();", "std::thread::spawn(f)", "rand::random()"],
)
def test_core_may_not_name(text):
    assert walls.CORE_MAY_NOT_NAME.search(text)


@pytest.mark.parametrize("text", ["std::time::Duration", "operand::x", "crate::time::Instant", "std::io::ErrorKind"])
def test_core_may_name(text):
    assert not walls.CORE_MAY_NOT_NAME.search(text)


def test_exceptions_are_still_needed():
    """A room where `unsafe` may stand, and has gone, is taken off the list."""
    for room in walls.UNSAFE_ROOMS:
        place = ROOT / room
        sources = place.rglob("*.rs") if place.is_dir() else [place]
        assert any("unsafe" in walls.rust_code(path, tests=True) for path in sources), room
