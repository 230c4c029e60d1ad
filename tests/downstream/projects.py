"""The projects whose suites run on tulipa: how each is run, in its own documented way, and what it exercises."""

import dataclasses
import pathlib

REQUIREMENTS = pathlib.Path(__file__).resolve().parent / "requirements"


@dataclasses.dataclass(frozen=True)
class Project:
    """A project with a suite in its source distribution.

    `requirements/NAME.source.txt` names that distribution by version and hash, `requirements/NAME.txt` what the suite
    runs with.
    """

    name: str
    #: What its suite exercises of an event loop.
    exercises: str
    #: The folder of the package in the distribution. It is not unpacked: the installed package is what is tested.
    package: str
    #: What its own instructions for running the tests pass to pytest.
    arguments: tuple[str, ...] = ()
    #: The same for environment variables.
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def source(self):
        return REQUIREMENTS / f"{self.name}.source.txt"

    @property
    def requirements(self):
        return REQUIREMENTS / f"{self.name}.txt"


PROJECTS = {
    project.name: project
    for project in (
        Project(
            "anyio",
            exercises="TCP, Unix and UDP sockets, TLS, subprocesses, signals, threads, cancellation; each test on three"
            " loops: asyncio's default, one with eager tasks, and `uvloop`",
            package="src",
            environment=(("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"),),  # its tox.ini section sets it
        ),
        Project(
            "aiohttp",
            exercises="HTTP and WebSocket servers and clients, TLS in TLS, proxies, sendfile, names, signals, shutdown",
            package="aiohttp",
            arguments=("--no-cov", "--numprocesses=0", "--no-showlocals"),  # `make test` there, on one processor
        ),
    )
}
