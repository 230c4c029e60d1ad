"""The tree knows no particular machine: no home folders, no work folders, no hosts that packages come from."""

from __future__ import annotations

import re

from tests.tree.tree import files, relative

# Split, so that this file does not find itself.
MACHINE = re.compile(
    r"(?<![\w.$}])/(?:ro" + r"ot|wo" + r"rk)/[\w.]"
    r"|(?<![\w.])/ho" + r"me/(?!user\b|you\b|me\b)\w"
    r"|\bdeb\.deb" + r"ian\.org|\bfiles\.python" + r"hosted\.org|\bregistry\.np" + r"mjs\.org|\bindex\.cr" + r"ates\.io"
)
# Written by Cargo, which names its registry.
EXEMPT = {"Cargo.lock"}


def test_no_file_names_a_machine():
    found = []
    for path in files():
        if path.name in EXEMPT:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if match := MACHINE.search(line):
                found.append(f"{relative(path)}:{number}: {match.group()}")
    assert found == []
