"""Documents lead somewhere: each relative link names a file that exists, each anchor a heading of it."""

from __future__ import annotations

import re

from tests.tree.tree import ROOT, files, relative

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def anchors(text):
    """The names that a heading gets on the usual code hosts, and those that are given by hand."""
    names = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = 0
        while (candidate := name if not count else f"{name}-{count}") in names:
            count += 1
        names.add(candidate)
    return names


def dead_links(path):
    text = INLINE_CODE.sub("", FENCE.sub("", path.read_text()))
    for inline, reference in LINK.findall(text):
        target = inline or reference
        if re.match(r"[a-z]+:", target):
            continue  # another site; looking there is no job of a test
        name, _, anchor = target.partition("#")
        file = path if not name else (ROOT / name.lstrip("/") if name.startswith("/") else path.parent / name)
        if not file.exists():
            yield f"{relative(path)}: {target}: no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
            yield f"{relative(path)}: {target}: no such heading"


def test_no_dead_links():
    assert [link for path in files() if path.suffix == ".md" for link in dead_links(path)] == []


def test_headings_make_anchors():
    text = "# One `turn`, in order\n## A. B\n## A. B\n```\n# no heading\n```\n"
    assert anchors(text) == {"one-turn-in-order", "a-b", "a-b-1"}
