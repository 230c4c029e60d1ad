"""The program that `tulipa run` is given: its code and its `__main__` module.

Lives here: finding and compiling a script, directory, zip file, module or string, and
setting up `sys.argv`, `sys.path[0]` and `__main__` as plain python does for each. Not
here: running it. Rule: whatever a program can see of how it was started is the same as
under python, but that its top level may use `await`.
"""

from __future__ import annotations

import ast
import builtins
import importlib.machinery
import importlib.util
import io
import linecache
import os
import pkgutil
import sys
from types import CodeType, ModuleType
from typing import Any

__all__ = ["Code", "Module", "Program", "ProgramNotFound", "Script"]

_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class ProgramNotFound(Exception):
    """There is no such program; the message is python's, `status` its exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Program:
    """A program and the arguments it is given."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name = name
        self.arguments = arguments

    def prepare(self) -> tuple[CodeType, dict[str, Any]]:
        """Set up the process for the program; return its code and the globals to run it in.

        Raises ProgramNotFound, or SyntaxError from compiling.
        """
        raise NotImplementedError


class Code(Program):
    """`-c code`."""

    def prepare(self) -> tuple[CodeType, dict[str, Any]]:
        """Compile the string; `sys.path[0]` is empty: the working directory."""
        sys.argv[:] = ["-c", *self.arguments]
        _set_first_path("")
        _remember_source("<string>", self.name)
        code = _compile(self.name, "<string>")
        return code, _main_module(loader=importlib.machinery.BuiltinImporter)


class Script(Program):
    """A file, a directory or zip file with a `__main__.py` in it, or `-` for standard input."""

    def prepare(self) -> tuple[CodeType, dict[str, Any]]:
        """Read the file; `sys.path[0]` is the directory that it really is in."""
        sys.argv[:] = [self.name, *self.arguments]
        if self.name == "-":
            _set_first_path("")
            source = sys.stdin.buffer.read()
            return _compile(source, "<stdin>"), _main_module(file="<stdin>", loader=importlib.machinery.BuiltinImporter)
        if pkgutil.get_importer(self.name) is not None:
            # A directory or a zip file is put on the path and its `__main__` run.
            if not sys.flags.safe_path:
                del sys.path[0]
            sys.path.insert(0, os.path.abspath(self.name))
            return _find_module("__main__", f"can't find '__main__' module in {self.name!r}")

        path = os.path.abspath(self.name)
        _set_first_path(os.path.dirname(os.path.realpath(path)))
        try:
            with io.open_code(path) as file:
                source = file.read()
        except OSError as exc:
            raise ProgramNotFound(
                f"{sys.orig_argv[0]}: can't open file {path!r}: [Errno {exc.errno}] {exc.strerror}", 2
            ) from None
        if path.endswith(".pyc"):
            compiled = importlib.machinery.SourcelessFileLoader("__main__", path)
            code = compiled.get_code("__main__")
            if code is None:
                raise _no_module(f"No code object available for {path}")
            return code, _main_module(file=path, loader=compiled)
        loader = importlib.machinery.SourceFileLoader("__main__", path)
        return _compile(source, path), _main_module(file=path, loader=loader)


class Module(Program):
    """`-m module`."""

    def prepare(self) -> tuple[CodeType, dict[str, Any]]:
        """Find the module on the path, the working directory first."""
        sys.argv[:] = ["-m", *self.arguments]
        _set_first_path(os.getcwd())
        code, names = _find_module(self.name, f"No module named {self.name}")
        sys.argv[0] = names["__file__"]
        return code, names


def _find_module(name: str, message: str) -> tuple[CodeType, dict[str, Any]]:
    main = sys.modules.get("__main__") if name == "__main__" else None
    if main is not None:
        # Ours would be found in place of the program's.
        del sys.modules["__main__"]
    try:
        spec = _find_spec(name, message)
    finally:
        if main is not None:
            sys.modules["__main__"] = main
    if spec.submodule_search_locations is not None:
        package = spec.name
        spec = _find_spec(
            f"{package}.__main__",
            f"No module named {package}.__main__; {package!r} is a package and cannot be directly executed",
        )
    loader: Any = spec.loader
    if loader is None or not hasattr(loader, "get_code"):
        raise _no_module(f"No code object available for {spec.name}")
    try:
        code = loader.get_code(spec.name)
    except SyntaxError:
        # It may be an `await` at the top level.
        source = loader.get_source(spec.name) if hasattr(loader, "get_source") else None
        if source is None:
            raise
        code = _compile(source, spec.origin or spec.name)
    if code is None:
        raise _no_module(f"No code object available for {spec.name}")
    return code, _main_module(
        file=spec.origin,
        cached=spec.cached,
        loader=loader,
        package=spec.parent,
        spec=spec,
    )


def _find_spec(name: str, message: str) -> importlib.machinery.ModuleSpec:
    if name.startswith("."):
        raise _no_module("Relative module names not supported")
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as exc:
        # A parent package that is not there; what a parent fails to import is its own error.
        if exc.name is None or (name != exc.name and not name.startswith(f"{exc.name}.")):
            raise
        raise _no_module(
            f"Error while finding module specification for {name!r} ({type(exc).__name__}: {exc})"
        ) from None
    except ValueError as exc:
        raise _no_module(f"Error while finding module specification for {name!r} (ValueError: {exc})") from None
    if spec is None:
        raise _no_module(message)
    return spec


def _no_module(message: str) -> ProgramNotFound:
    return ProgramNotFound(f"{sys.executable}: {message}", 1)


def _main_module(
    *,
    file: str | None = None,
    cached: str | None = None,
    loader: Any = None,
    package: str | None = None,
    spec: importlib.machinery.ModuleSpec | None = None,
) -> dict[str, Any]:
    """Put a new `__main__` into `sys.modules` and return its globals."""
    module = ModuleType("__main__")
    names = module.__dict__
    names.update(__loader__=loader, __package__=package, __spec__=spec, __builtins__=builtins)
    if file is not None:
        names.update(__file__=file, __cached__=cached)
    if sys.version_info >= (3, 15):
        names.pop("__cached__", None)
    if sys.version_info < (3, 14):
        names["__annotations__"] = {}
    # Our own `__main__` lives on: frames of it are still running.
    _kept.append(sys.modules.get("__main__"))
    sys.modules["__main__"] = module
    return names


_kept: list[ModuleType | None] = []


def _set_first_path(entry: str) -> None:
    """Replace what python put first for us by what it would have put for the program."""
    if not sys.flags.safe_path:
        sys.path[0] = entry


def _compile(source: str | bytes, filename: str) -> CodeType:
    code: CodeType = compile(source, filename, "exec", flags=_AWAIT, dont_inherit=True)
    return code


def _remember_source(filename: str, source: str) -> None:
    """Let tracebacks show the lines of code that is in no file."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
