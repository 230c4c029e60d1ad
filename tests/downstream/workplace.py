"""Where a project's suite runs: its sources and an environment of its own, below target/, made when first needed."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Workplace:
    """A project with everything that its suite needs, on the running version of Python."""

    project: object
    folder: pathlib.Path

    @property
    def python(self):
        return self.folder / "env" / "bin" / "python"

    @property
    def source(self):
        """The source distribution as it was unpacked, without the package itself."""
        return self.folder / "source"

    @property
    def version(self):
        """The version of the project that the suite tests."""
        code = f"import importlib.metadata; print(importlib.metadata.version({self.project.name!r}))"
        return subprocess.check_output([self.python, "-c", code], text=True, env=clean_environ()).strip()


def prepared(project):
    """The workplace of `project`, made anew if what it is made from has changed."""
    platform = os.environ.get("TULIPA_PLATFORM")
    version = sysconfig.get_python_version() + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "")
    name = f"{platform}-py{version}" if platform else f"py{version}"
    workplace = Workplace(project, ROOT / "target" / "downstream" / name / project.name)
    stamp = workplace.folder / "made-from"
    made_from = _digest(project)
    if not stamp.exists() or stamp.read_text() != made_from:
        shutil.rmtree(workplace.folder, ignore_errors=True)
        workplace.folder.mkdir(parents=True)
        _make(workplace)
        stamp.write_text(made_from)
    return workplace


def clean_environ():
    """The variables of this process without those that mislead another interpreter."""
    misleading = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTEST_ADDOPTS"}
    return {name: value for name, value in os.environ.items() if name not in misleading}


def _digest(project):
    content = [sys.version.encode(), project.source.read_bytes(), project.requirements.read_bytes()]
    return hashlib.sha256(b"\0".join(content)).hexdigest()


def _make(workplace):
    project = workplace.project
    _run(sys.executable, "-m", "venv", workplace.folder / "env")
    pip = (workplace.python, "-m", "pip", "--disable-pip-version-check", "--quiet")
    _run(*pip, "install", "-r", project.requirements)
    # The requirements hold what builds the project as well, so that nothing comes in unpinned.
    built_here = ("--no-deps", "--no-build-isolation", "--no-binary", project.name)
    downloads = workplace.folder / "download"
    _run(*pip, "download", *built_here, "--require-hashes", "-r", project.source, "--dest", downloads)
    (archive,) = downloads.iterdir()
    _run(*pip, "install", *built_here, archive)
    _unpack(archive, workplace)


def _unpack(archive, workplace):
    with tarfile.open(archive) as tar:
        top = os.path.commonpath(tar.getnames())
        package = f"{top}/{workplace.project.package}/"
        members = [member for member in tar.getmembers() if not member.name.startswith(package)]
        tar.extractall(workplace.folder, members, filter="data")
    (workplace.folder / top).rename(workplace.source)


def _run(*command):
    subprocess.run([str(part) for part in command], check=True, env=clean_environ(), stdin=subprocess.DEVNULL)
