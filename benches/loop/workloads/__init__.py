"""All workloads, by name."""

from __future__ import annotations

from workloads import asking, connections, datagrams, fairness, frameworks, processes, scheduling
from workloads.model import Workload

ALL: dict[str, Workload] = {
    workload.name: workload
    for room in (connections, datagrams, asking, frameworks, scheduling, processes, fairness)
    for workload in room.WORKLOADS
}
