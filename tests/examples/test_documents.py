"""The programs in the documents are the ones that the tests run."""

from __future__ import annotations

import re

import pytest

from tests.examples.programs import EXAMPLES

ROOT = EXAMPLES.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def without_header(source):
    return re.sub(r"\A(#.*\n)*\n*", "", source)


EXAMPLES_IN_FULL = {without_header(path.read_text()) for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_in_documents_is_an_example(document):
    for block in PYTHON.findall(document.read_text()):
        assert block in EXAMPLES_IN_FULL


def test_every_example_is_listed():
    listed = (EXAMPLES / "README.md").read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f"]({path.name})" not in listed] == []
