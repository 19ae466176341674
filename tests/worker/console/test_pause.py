"""The pause of all workers, begun and ended in the console; and what waits for another try."""

from datetime import UTC, datetime, timedelta

from db.connection import Connection
from db.tables.worker_pause import read_worker_pause
from tests.support.wait import wait_until
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleThread, StartConsole
from tests.worker.console.status_server import StatusServer

PAGES = ("/", "/letters", "/users", "/feed", "/audit")


def test_a_pause_is_begun_with_a_reason_seen_on_every_page_and_ended(
    console: ConsoleThread, operator: Operator, database_url: str
) -> None:
    refused = operator.post("/pause", why=" ")
    assert (refused.status, "Say why" in refused.words) == (400, True)

    operator.post("/pause", why="failover is tested")
    with Connection.connect(database_url) as connection:
        pause = read_worker_pause(connection)
    assert pause is not None
    assert (pause.who, pause.reason) == ("Grace", "failover is tested")
    for path in PAGES:
        words = operator.get(path).words
        assert "All workers are paused by Grace, since" in words, path
        assert ": failover is tested" in words, path
    assert "nothing is written until somebody lets them go on" in operator.get("/").words

    operator.post("/pause", why="another reason")
    operator.post("/resume")
    assert all("All workers are paused" not in operator.get(path).words for path in PAGES)
    operator.post("/resume")
    said = [(line["who"], line["what"], line["subject"], line["outcome"]) for line in console.audit()]
    assert [entry for entry in said if entry[1] != "login"] == [
        ("Grace", "pause", "workers", "done"),
        ("Grace", "pause", "workers", "paused_already"),
        ("Grace", "resume", "workers", "done"),
        ("Grace", "resume", "workers", "not_paused"),
    ]


def test_read_only_it_can_be_seen_and_not_changed(start_console: StartConsole, operator: Operator) -> None:
    operator.post("/pause", why="failover is tested")
    console = start_console(CONSOLE_READ_ONLY="true")
    reader = Operator(console.address).log_in(console.token)

    assert "All workers are paused by Grace" in reader.get("/letters").words
    assert "/resume" not in reader.get("/").text
    assert reader.post("/resume").status == 403


def test_without_the_table_it_is_unknown(start_console: StartConsole, empty_database_url: str) -> None:
    console = start_console(database_url=empty_database_url)
    operator = Operator(console.address).log_in(console.token)

    assert "Whether somebody has paused the workers is unknown" in operator.get("/").words
    assert "The database does not answer the console" not in operator.get("/").words


def test_what_waits_for_another_try_is_shown_with_since_and_until_when(start_console: StartConsole) -> None:
    now = datetime.now(UTC)
    status = {
        "version": "1.2.3",
        "started_at": now.isoformat(),
        "pause": {"since": now.isoformat(), "who": "linus", "reason": "x"},
        "waiting": [
            {
                "reason": "unknown_author",
                "messages": 1234,
                "since": (now - timedelta(minutes=7)).isoformat(),
                "until": "2026-01-31T12:00:00Z",
            }
        ],
    }
    with StatusServer(status) as worker:
        console = start_console(WORKER_URLS=worker.url)
        operator = Operator(console.address).log_in(console.token)
        wait_until(lambda: "1.2.3" in operator.get("/").words, 60, "the worker is not asked")

        words = operator.get("/").words

    assert "paused by linus" in words
    assert "unknown_author 1,234 7m" in words
    assert "2026-01-31 12:00:00 UTC" in words
