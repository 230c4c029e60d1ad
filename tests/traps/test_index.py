"""The index of traps and the list of differences name tests that exist."""

import ast
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from tests.differences import DIFFERENCES
from tests.traps.index import ELSEWHERE, TRAPS

TESTS = Path(__file__).parents[1]
NUMBERS = [f"T{number}" for number in range(1, 47)]


@cache
def names_of_tests(path):
    tree = ast.parse((TESTS / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    }


def test_every_trap_is_held_by_a_test_or_belongs_elsewhere():
    assert sorted(TRAPS.keys() | ELSEWHERE.keys()) == sorted(NUMBERS)
    assert not TRAPS.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize("trap", TRAPS)
def test_the_tests_of_a_trap_exist(trap):
    for test in TRAPS[trap]:
        path, name = test.split("::")
        assert name in names_of_tests(path), test


@pytest.mark.parametrize("entry", DIFFERENCES, ids=lambda entry: f"{entry.test} on {entry.on}")
def test_a_difference_names_a_test_that_exists(entry):
    path, pattern = entry.test.split("::")
    pattern = pattern.split("/")[0]
    assert any(fnmatchcase(name, pattern) for name in names_of_tests(path)), entry.test
    assert entry.reason
