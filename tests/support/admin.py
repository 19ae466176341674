"""Asking an admin server: a worker's, or one at an address (host:port)."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.support.worker_process import WorkerProcess

ADMIN = {"ADMIN_ADDRESS": "127.0.0.1:0"}  # a port that is free

TIMEOUT = 10.0  # seconds


class Answer(NamedTuple):
    """What a page said."""

    status: int
    content_type: str
    text: str


def address(worker: WorkerProcess) -> str:
    """Where a worker that has started listens."""
    return str(worker.wait_for("started")["admin_address"])


def get(server: WorkerProcess | str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    connection = HTTPConnection(server if isinstance(server, str) else address(server), timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers["Content-Type"], response.read().decode())
    finally:
        connection.close()


def status(server: WorkerProcess | str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(get(server, "/status").text)
    return answer


def samples(server: WorkerProcess | str) -> dict[str, float]:
    """All metrics, by their names with labels as in `name{label="value"}`."""
    found = {}
    for family in text_string_to_metric_families(get(server, "/metrics").text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
