"""What a bug report needs to know of this machine: `tulipa.info()` and `tulipa info`.

Lives here: collecting versions, drivers, kernel features and limits. Not here: printing
them. Rule: nothing here may fail; what cannot be read is reported as unknown.
"""

from __future__ import annotations

import resource
import ssl
import sys
from collections.abc import Callable

from . import _native
from ._drivers import choose_driver
from ._tls import choose_tls_engine

__all__ = ["info"]

_Value = bool | int | str

# Files of the kernel with one number each, by the name under which we show it.
_LIMIT_FILES = {
    "listen backlog (somaxconn)": "/proc/sys/net/core/somaxconn",
    "open files, system": "/proc/sys/fs/file-max",
    "open files, per process at most": "/proc/sys/fs/nr_open",
    "epoll watches, per user": "/proc/sys/fs/epoll/max_user_watches",
    "pipe size, unprivileged": "/proc/sys/fs/pipe-max-size",
    "local ports": "/proc/sys/net/ipv4/ip_local_port_range",
}

_RESOURCES = {
    "open files": "RLIMIT_NOFILE",
    "processes and threads": "RLIMIT_NPROC",
    "locked memory": "RLIMIT_MEMLOCK",
}


def info() -> dict[str, dict[str, _Value]]:
    """Return what tulipa found here, by section: `versions`, `kernel`, `limits`.

    In `limits`, `open files (soft)` is what binds first: each connection takes one.
    """
    return {"versions": _versions(), "kernel": dict(_native.probe()), "limits": _limits()}


def _versions() -> dict[str, _Value]:
    import platform  # Slow to import, and wanted by nobody else.

    driver, tls = _or_why_not(choose_driver), _or_why_not(choose_tls_engine)
    return {
        "tulipa": _native.__version__,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "free-threaded": not _gil_enabled(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "driver": driver,
        "drivers": ", ".join(_native.driver_names()),
        "OpenSSL": ssl.OPENSSL_VERSION,
        "TLS engine": tls,
    }


def _or_why_not(choose: Callable[[], str]) -> str:
    try:
        return choose()
    except ValueError as exc:
        return str(exc)


def _gil_enabled() -> bool:
    asked = getattr(sys, "_is_gil_enabled", None)  # 3.13
    return True if asked is None else bool(asked())


def _limits() -> dict[str, _Value]:
    limits: dict[str, _Value] = {}
    for name, constant in _RESOURCES.items():
        number = getattr(resource, constant, None)
        if number is not None:
            soft, hard = resource.getrlimit(number)
            limits[f"{name} (soft)"] = _amount(soft)
            limits[f"{name} (hard)"] = _amount(hard)
    for name, path in _LIMIT_FILES.items():
        try:
            with open(path, encoding="ascii") as file:
                text = file.read().split()
        except OSError:
            limits[name] = "unknown"
        else:
            limits[name] = int(text[0]) if len(text) == 1 else "-".join(text)
    return limits


def _amount(value: int) -> _Value:
    return "unlimited" if value == resource.RLIM_INFINITY else value
