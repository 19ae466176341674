"""Each panel of the Grafana dashboard asks for metrics that a worker really has."""

import json
import re
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.admin import ADMIN, get
from tests.support.events import sign_up
from tests.support.postgres import Postgres
from tests.support.sqs import SqsServer, create_queues
from tests.support.worker_process import WorkerProcess, worker_environment

DASHBOARD: dict[str, Any] = json.loads((Path(__file__).parents[2] / "deploy/grafana-dashboard.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

# What Prometheus adds to each sample when it asks for the metrics.
ADDED = {"job", "instance"}

Labels = dict[str, set[str]]


def queries() -> list[str]:
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


def names(query: str) -> set[str]:
    """The metrics that a query asks for: what stands before its labels' braces."""
    return set(re.findall(r"\b([a-z_]+)\{", query))


def labels(query: str) -> set[str]:
    """The labels that it asks for or sums by."""
    asked = re.findall(r"[{,]\s*(\w+)\s*(?:=|!=)~?\"", query)
    summed = [name for group in re.findall(r"\bby \(([^)]*)\)", query) for name in group.split(", ")]
    return {*asked, *summed}


def in_legend(target: dict[str, str]) -> set[str]:
    return set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))


@pytest.fixture(scope="module")
def exposed(postgres: Postgres, migrated_template: str, sqs_server: SqsServer) -> Labels:
    """The names of all samples of a worker that has written a row, each with the names of its labels."""
    database = f"dashboard_{uuid.uuid4().hex}"
    url = postgres.create_database(database, template=migrated_template)
    with closing(create_queues(sqs_server.endpoint_url)) as queues:
        queues.send(sign_up("ada"))
        settings = {"RECEIVE_WAIT_SECONDS": "1", "LOG_LEVEL": "debug", **ADMIN}
        with WorkerProcess(environment=worker_environment(url, queues, settings=settings)) as worker:
            worker.wait_for("batch_committed")
            text = get(worker, "/metrics").text
    postgres.drop_database(database)
    found: Labels = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_each_query_asks_for_metrics_and_labels_that_there_are(exposed: Labels) -> None:
    for query in queries():
        assert names(query), query
        assert names(query) <= exposed.keys(), query
        known = {label for name in names(query) for label in exposed[name]}
        assert labels(query) <= known | ADDED, query


def test_each_metric_of_the_worker_is_on_the_dashboard(exposed: Labels) -> None:
    asked = set().union(*map(names, queries()))
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed if name.startswith("signup_sync_")}
    # Totals that say nothing without what the panels show beside them.
    left_out = {
        "signup_sync_pool_requests_total",
        "signup_sync_pool_queued_requests_total",
        "signup_sync_pool_opened_connections_total",
        "signup_sync_pool_wait_seconds_total",
        "signup_sync_pool_usage_seconds_total",
    }

    assert ours - {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} == left_out


def test_each_panel_has_a_title_a_place_of_its_own_and_legends_of_labels_that_are_left() -> None:
    places: set[tuple[int, int]] = set()
    for panel in PANELS:
        assert panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & places, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        places |= cells
        for target in panel["targets"]:
            assert in_legend(target) <= labels(target["expr"]) | ADDED, panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_a_query_is_read_as_it_is_meant() -> None:
    query = 'histogram_quantile(0.95, sum by (le, queue) (rate(a_bucket{job=~"$job",state!="x"}[5m]))) / max(b{})'

    assert names(query) == {"a_bucket", "b"}
    assert labels(query) == {"job", "state", "le", "queue"}
