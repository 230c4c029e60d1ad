"""Checks the walls between the rooms of the tree: who may know of whom.

The rooms and what each may import are the table in ARCHITECTURE.md; this file is its
machine-readable half. A wall that no machine checks is a wish.

Each check is a function named `check_*` that yields one sentence per breach. Run as a
program it prints them all; tests/tree/test_walls.py makes a test of each.
An exception to a rule goes into one of the tables on top, with its reason.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What a crate may not be built on, in Cargo's words. `reach` holds for whatever it depends
# on as well, however indirectly; `direct` for its own manifest only.
CRATE_WALLS: dict[str, dict[str, set[str]]] = {
    "tulipa-core": {
        "direct": {"tulipa-sys", "tulipa-tls", "tulipa-py"},
        "reach": {"pyo3", "pyo3-ffi", "rustix", "libc", "nix", "mio", "getrandom", "rand", "socket2", "windows-sys"},
    },
    "tulipa-sys": {"direct": {"tulipa-py", "tulipa-tls"}, "reach": {"pyo3", "pyo3-ffi"}},
    "tulipa-tls": {"direct": {"tulipa-py", "tulipa-sys"}, "reach": {"pyo3", "pyo3-ffi"}},
    "tulipa-py": {"direct": {"libc", "rustix", "nix", "mio"}, "reach": set()},
}
NOBODY_DEPENDS_ON = {"tulipa-py"}

# Rooms (a file, or a folder with a trailing slash) where `unsafe` may stand, and why.
UNSAFE_ROOMS: dict[str, str] = {
    "crates/tulipa-sys/src/address.rs": "addresses of any family pass through the kernel's own storage",
    "crates/tulipa-sys/src/child/": "a child borrows its parent's memory until it is another program",
    "crates/tulipa-sys/src/descriptor.rs": "a number becomes an owned or a borrowed descriptor",
    "crates/tulipa-sys/src/poller/select.rs": "rustix marks select unsafe, since its sets hold plain numbers",
    "crates/tulipa-sys/src/poller/uring/ring.rs": "the io-uring crate leaves to its caller who uses the queues when",
    "crates/tulipa-tls/src/openssl/": "speaks OpenSSL's C interface",
    "crates/tulipa-sys/src/resolver/c_library.rs": "getaddrinfo and getnameinfo take and give raw pointers",
    "crates/tulipa-sys/src/signals.rs": "the C library sets a thread's signal mask from a raw pointer",
    "crates/tulipa-py/src/ffi/": "speaks CPython's C interface",
}
# A promise to the contract of `ffi/` that has to stand beside the type it is made for.
UNSAFE_PROMISE = re.compile(r"^unsafe impl Fields for \w+ \{")

# The command line: it sees public names only, and nobody sees it.
FRONT_DOORS = {"cli", "cli.py", "__main__.py"}

# What core may not name: operating system, clock, threads, randomness of its own.
CORE_MAY_NOT_NAME = re.compile(
    r"\bstd::(net|fs|process|env|os|thread)\b|\bstd::time::(Instant|SystemTime)\b|\bstd::io::(stdin|stdout|stderr)\b"
    r"|\b(rand|getrandom|libc|rustix|pyo3)::|\bRandomState\b|\bextern\s+\"C\""
)
# The simulation must give the same trace for the same seed: no map whose order is random.
SIM_MAY_NOT_NAME = re.compile(r"\bstd::collections::(HashMap|HashSet|hash_map|hash_set)\b")

# What the contract with a world (`driver.rs`) may import of core: plain types.
CONTRACT_TYPES = re.compile(r"(crate|super)::(token::\w+|time::\w+|watch::Direction|Token|Instant|Direction)")

# Private parts of CPython that are looked at outside `_compat.py`, and why.
PRIVATE_LOOKS: dict[tuple[str, str], str] = {}

# Underscored, and public all the same: the library reference documents them.
DOCUMENTED = {"os._exit", "sys._current_frames", "sys._getframe"}

# Imports that the table forbids and that stand all the same: (file, module) and why.
IMPORT_EXCEPTIONS: dict[tuple[str, str], str] = {
    (
        "tests/conformance/loops.py",
        "tulipa._tls_transport",
    ): "asyncio's tests reach into its TLS transports by a private method",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# -- Rust: manifests ------------------------------------------------------------------------


def cargo_metadata() -> dict:
    command = ["cargo", "metadata", "--format-version", "1"]
    for extra in (["--offline"], []):  # without the network where that is enough
        done = subprocess.run(command + extra, cwd=ROOT, capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(done.stdout)
    raise RuntimeError(f"cargo metadata: {done.stderr}")


def check_crate_dependencies() -> Iterator[str]:
    """Cargo's own view: direct dependencies, and all that they reach (development ones aside)."""
    metadata = cargo_metadata()
    name_of = {package["id"]: package["name"] for package in metadata["packages"]}
    neighbours: dict[str, set[str]] = {}
    for node in metadata["resolve"]["nodes"]:
        neighbours[node["id"]] = {
            dependency["pkg"]
            for dependency in node["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        }
    for member in metadata["workspace_members"]:
        name = name_of[member]
        direct = {name_of[identity] for identity in neighbours[member]}
        for forbidden in sorted(direct & NOBODY_DEPENDS_ON):
            yield f"{name} depends on {forbidden}, on which nobody may"
        walls = CRATE_WALLS.get(name)
        if walls is None:
            continue
        for forbidden in sorted(direct & walls["direct"]):
            yield f"{name} depends on {forbidden}"
        reached, waiting = set(), [member]
        while waiting:
            for identity in neighbours[waiting.pop()]:
                if identity not in reached:
                    reached.add(identity)
                    waiting.append(identity)
        for forbidden in sorted({name_of[identity] for identity in reached} & walls["reach"]):
            yield f"{name} reaches {forbidden} through what it depends on"


# -- Rust: sources --------------------------------------------------------------------------

RUST_NOISE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|r\#"(?s:.*?)"\#|"(?:\\.|[^"\\])*"|'(?:\\[^\n']{1,8}|[^\\'\n])'""", re.DOTALL
)
TEST_MODULE = re.compile(r"#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*mod \w+ \{")


def rust_sources(folder: str) -> Iterator[Path]:
    yield from sorted((ROOT / folder).rglob("*.rs"))


def rust_code(path: Path, *, tests: bool = False) -> str:
    """The text with comments and literals blanked, lines kept; without its test module (by custom the last item)."""
    text = RUST_NOISE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), path.read_text())
    if not tests and (found := TEST_MODULE.search(text)):
        text = text[: found.start()]
    return text


def rust_imports(code: str) -> Iterator[str]:
    """Each path that a `use` brings in, its groups written out: `use a::{b, c::d};` gives `a::b` and `a::c::d`."""

    def spread(prefix: str, tree: str) -> Iterator[str]:
        depth, start = 0, 0
        parts = []
        for position, letter in enumerate(tree):
            depth += (letter == "{") - (letter == "}")
            if letter == "," and depth == 0:
                parts.append(tree[start:position])
                start = position + 1
        parts.append(tree[start:])
        for part in parts:
            head, brace, inner = part.partition("{")
            if brace:
                yield from spread(prefix + head, inner.rpartition("}")[0])
            elif part:
                yield prefix + part.partition(" as ")[0]

    for match in re.finditer(r"\buse\s+([^;]+);", code):
        yield from spread("", re.sub(r"\s+(?!as\b)(?<!\bas )", "", match.group(1)))


def named_in(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of whatever can name a path: each line of code, and each import written out."""
    code = rust_code(path)
    yield from enumerate(code.splitlines(), 1)
    for imported in rust_imports(code):
        yield 0, imported


def check_core_names_no_world() -> Iterator[str]:
    """Core knows no operating system, no clock, no thread, no randomness."""
    lib = ROOT / "crates/tulipa-core/src/lib.rs"
    if lib.exists() and "#![forbid(unsafe_code)]" not in lib.read_text():
        yield f"{relative(lib)} does not forbid unsafe code"
    for path in rust_sources("crates/tulipa-core/src"):
        in_simulation = "sim" in path.relative_to(ROOT / "crates/tulipa-core/src").parts or path.name == "sim.rs"
        for line, text in named_in(path):
            if found := CORE_MAY_NOT_NAME.search(text):
                yield f"{relative(path)}:{line or '(use)'}: core names {found.group()}"
            if in_simulation and (found := SIM_MAY_NOT_NAME.search(text)):
                yield f"{relative(path)}:{line or '(use)'}: the simulation names {found.group()}, whose order is random"
            if not in_simulation:
                if re.search(r"\bfastrand::", text):
                    yield f"{relative(path)}:{line or '(use)'}: randomness outside the simulation"
                if path.name != "lib.rs" and re.search(r"\b(crate|super)::sim\b", text):
                    yield f"{relative(path)}:{line or '(use)'}: core imports from the simulation"


def check_driver_contract_stands_alone() -> Iterator[str]:
    """`driver.rs`, the contract with a world, imports nothing of core but plain types."""
    path = ROOT / "crates/tulipa-core/src/driver.rs"
    if path.exists():
        for imported in rust_imports(rust_code(path)):
            if imported.startswith(("crate::", "super::")) and not CONTRACT_TYPES.fullmatch(imported):
                yield f"{relative(path)}: the contract imports {imported}"


def check_pollers_are_strangers() -> Iterator[str]:
    """A poller knows its own `mod.rs` and shared table only: not another poller, not a driver.

    A ring leaves what it must not hold to an epoll of its own.
    """
    folder = ROOT / "crates/tulipa-sys/src/poller"
    pollers = {"select", "poll", "epoll", "uring", "kqueue", "shell"}
    for path in sorted(folder.rglob("*.rs")):
        if path == folder / "mod.rs":
            continue
        own = path.relative_to(folder).parts[0].removesuffix(".rs")
        for imported in rust_imports(rust_code(path)):
            found = re.match(r"(?:crate::poller|super)::(\w+)", imported)
            if found and found.group(1) in pollers - {own} and (own, found.group(1)) != ("uring", "epoll"):
                yield f"{relative(path)} imports {imported}, another poller"
            if re.match(r"crate::driver\b|super::super::driver\b", imported):
                yield f"{relative(path)} imports {imported}; drivers build on pollers, not the reverse"


def check_unsafe_stays_in_its_rooms() -> Iterator[str]:
    for path in rust_sources("crates"):
        name = relative(path)
        if any(name == room or (room.endswith("/") and name.startswith(room)) for room in UNSAFE_ROOMS):
            continue
        for line, text in enumerate(rust_code(path, tests=True).splitlines(), 1):
            if UNSAFE_PROMISE.match(text) and name.startswith("crates/tulipa-py/"):
                continue
            if re.search(r"\bunsafe\b", text):
                yield f"{name}:{line}: unsafe outside its rooms (UNSAFE_ROOMS in scripts/check_walls.py)"


def check_no_orphan_rust_files() -> Iterator[str]:
    """A file that no `mod` names is not compiled, and nothing else would say so."""
    for source in sorted(ROOT.glob("crates/*/src")) + sorted(ROOT.glob("crates/*/tests/it")):
        for path in sorted(source.rglob("*.rs")):
            if path.name in {"lib.rs", "main.rs"} and path.parent == source or "bin" in path.parts:
                continue
            owner, module = (
                (path.parent.parent, path.parent.name) if path.name == "mod.rs" else (path.parent, path.stem)
            )
            parents = [owner / "mod.rs", owner / "lib.rs", owner / "main.rs", owner.with_suffix(".rs")]
            declared = re.compile(rf"\bmod {module}\s*[;{{]")
            if not any(declared.search(rust_code(parent, tests=True)) for parent in parents if parent.exists()):
                yield f"{relative(path)} is named by no `mod`"


# -- Rust: a target without an operating system ----------------------------------------------


def bare_target() -> str | None:
    """The installed target that has no operating system, if there is one."""
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    target = "wasm32-unknown-unknown"
    return target if (Path(sysroot) / "lib/rustlib" / target / "lib").is_dir() else None


def check_core_builds_bare() -> Iterator[str]:
    """Core compiles where there is no operating system. Says nothing where no such target is installed."""
    if (target := bare_target()) is not None:
        done = subprocess.run(
            ["cargo", "check", "--quiet", "-p", "tulipa-core", "--target", target],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            yield f"tulipa-core does not build for {target}:\n{done.stderr}"


# -- Python ---------------------------------------------------------------------------------


class Imports(ast.NodeVisitor):
    """The full dotted names that one file imports, with lines; relative ones made absolute."""

    def __init__(self, path: Path, package: str) -> None:
        self.package = package
        self.found: list[tuple[int, str]] = []
        self.tree = ast.parse(path.read_text(), str(path))
        self.visit(self.tree)

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(node.lineno, alias.name) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self.package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1] + ([base] if base else []))
        self.found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]


def python_files(folder: str) -> Iterator[tuple[str, Imports]]:
    """Each Python file below a folder with its imports, exceptions from the table left out."""
    top = ROOT / folder
    for path in [top] if top.is_file() else sorted(top.rglob("*.py")):
        name = relative(path)
        package = ".".join(Path(name.removeprefix("python/")).parent.parts)
        imports = Imports(path, package)
        imports.found = [
            (line, module)
            for line, module in imports.found
            if not any(name == file and within(module, allowed) for file, allowed in IMPORT_EXCEPTIONS)
        ]
        yield name, imports


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def imports_underscored(module: str) -> bool:
    return module.startswith("tulipa._")


def check_package_rooms() -> Iterator[str]:
    """The rooms of the package, by the table."""
    for name, imports in python_files("python/tulipa"):
        inside = name.removeprefix("python/tulipa/")
        room = inside.split("/")[0] if "/" in inside else inside
        forbidden: list[str] = []
        if room == "__init__.py":
            forbidden = ["tulipa.cli"]
        elif room == "_compat.py":
            forbidden = ["tulipa"]
        elif room in FRONT_DOORS:
            forbidden = ["tulipa._"]
        elif room.startswith("_"):
            forbidden = ["tulipa.testing", "tulipa.green", "tulipa.interop", "tulipa.cli"]
        elif room in {"green", "testing"}:
            forbidden = ["tulipa.interop", "tulipa.cli"]
        elif room == "interop":
            own = "tulipa.interop." + Path(inside).stem
            forbidden = ["tulipa._", "tulipa.interop", "tulipa.cli"]
            imports.found = [(line, module) for line, module in imports.found if not within(module, own)]
        if room != "interop":
            forbidden.append("tulipa.interop")
        if room not in FRONT_DOORS:
            forbidden.append("tulipa.cli")
        for line, module in imports.found:
            for wall in dict.fromkeys(forbidden):
                if imports_underscored(module) if wall == "tulipa._" else within(module, wall):
                    yield f"{name}:{line}: {room} imports {module}"
        if room == "testing" and "plugin" not in Path(inside).stem:
            for line, module in imports.found:
                if within(module, "pytest") or within(module, "_pytest"):
                    yield f"{name}:{line}: pytest is imported outside the plugin file"


def check_package_front_holds_no_logic() -> Iterator[str]:
    """`__init__.py` of the package: the public names, nothing else, and nothing of third parties."""
    for name, imports in python_files("python/tulipa/__init__.py") if (ROOT / "python/tulipa").exists() else ():
        for line, module in imports.found:
            first = module.split(".")[0]
            if first != "tulipa" and first not in sys.stdlib_module_names:
                yield f"{name}:{line}: imports {module}, of a third party"
        for node in imports.tree.body:
            plain = (
                isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign)
                or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
                or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
                # a name that is made when first asked for
                or (isinstance(node, ast.FunctionDef) and node.name in {"__getattr__", "__dir__"})
            )
            if not plain:
                yield f"{name}:{node.lineno}: holds logic ({type(node).__name__.lower()})"


def check_private_parts_of_cpython() -> Iterator[str]:
    """Every look at a private part of CPython stands in `_compat.py`."""
    for name, imports in python_files("python/tulipa"):
        if name == "python/tulipa/_compat.py":
            continue
        looks = []
        modules = set()
        for line, module in imports.found:
            first, *rest = module.split(".")
            if first in sys.stdlib_module_names and first != "__future__":
                modules.add(module)
                if any(part.startswith("_") and not part.startswith("__") for part in [first, *rest]):
                    looks.append((line, module))
        for node in ast.walk(imports.tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                look = ast.unparse(node)
                if look.rpartition(".")[0] in modules:
                    looks.append((node.lineno, look))
        for line, look in looks:
            if look not in DOCUMENTED and (name, look) not in PRIVATE_LOOKS:
                yield f"{name}:{line}: {look} is private to CPython; it belongs into _compat.py"


def check_other_rooms() -> Iterator[str]:
    """Tests, examples, benchmarks and scripts stay on their side."""
    own_rooms = {path.name for path in (ROOT / "tests").glob("*") if path.is_dir()} - {"support", "tree"}
    for name, imports in [*python_files("tests"), *python_files("examples"), *python_files("benches")]:
        top, _, rest = name.partition("/")
        room = rest.split("/")[0]
        for line, module in imports.found:
            excepted = any(name == file and within(module, allowed) for file, allowed in IMPORT_EXCEPTIONS)
            if imports_underscored(module) and not excepted:
                yield f"{name}:{line}: imports {module}, an inside of the package"
            if top != "tests" and within(module, "tests"):
                yield f"{name}:{line}: {top} imports {module}"
            if top != "tests":
                continue
            if room == "tree" and within(module, "tulipa"):
                yield f"{name}:{line}: the tree tests import {module}; they must run without the built module"
            if room == "conformance" and any(within(module, f"tests.{other}") for other in own_rooms - {room}):
                yield f"{name}:{line}: conformance imports {module}, another test room"
            if room == "simulation" and within(module, "socket"):
                yield f"{name}:{line}: a simulated test imports {module}"
        if top == "tests" and room == "simulation":
            for node in ast.walk(imports.tree):
                if isinstance(node, ast.Attribute) and ast.unparse(node) in {
                    "time.sleep",
                    "time.time",
                    "time.monotonic",
                }:
                    yield f"{name}:{node.lineno}: a simulated test uses {ast.unparse(node)}"
    for name, imports in python_files("scripts"):
        if name.startswith("scripts/demo/"):
            continue  # the demo shows the package
        for line, module in imports.found:
            if within(module, "tulipa"):
                yield f"{name}:{line}: a tool of the tree imports {module}"


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]


def main() -> int:
    breaches = [breach for check in CHECKS for breach in check()]
    for breach in breaches:
        print(breach)
    if bare_target() is None:
        print("note: no bare target is installed; that core builds without an operating system was not checked")
    print(f"{len(breaches)} breaches of {len(CHECKS)} walls")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
