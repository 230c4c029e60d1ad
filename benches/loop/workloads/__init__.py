"""All workloads, by name."""

from __future__ import annotations

from workloads import connections, datagrams, scheduling
from workloads.model import Workload

ALL: dict[str, Workload] = {
    workload.name: workload
    for workload in (*connections.WORKLOADS, *datagrams.WORKLOADS, *scheduling.WORKLOADS)
}  # fmt: skip
