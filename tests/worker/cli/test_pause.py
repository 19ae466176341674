"""`signup-sync pause` and `signup-sync resume`, as an operator types them."""

import json
from contextlib import closing
from subprocess import CompletedProcess
from typing import Any

import pytest

from db.pool import connect
from db.tables.worker_pause import WorkerPause, read_worker_pause
from tests.support.invoke import invoke

Done = CompletedProcess[str]


def run(database_url: str, *args: str, stdin: str = "", **settings: str) -> Done:
    return invoke(*args, environment={"DATABASE_URL": database_url, "LOGNAME": "grace", **settings}, stdin=stdin)


def read(database_url: str) -> WorkerPause | None:
    with closing(connect(database_url)) as connection:
        return read_worker_pause(connection)


def audit(done: Done) -> dict[str, Any]:
    """The one line of the audit log, without its time, which each has."""
    [line] = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert line.pop("timestamp").endswith("Z")
    return dict(line)


def test_workers_are_paused_and_resumed_by_who_confirms_it(database_url: str) -> None:
    paused = run(database_url, "pause", "--why", "failover is tested", stdin="y\n")
    found = read(database_url)
    resumed = run(database_url, "resume", stdin="y\n")

    assert (paused.returncode, resumed.returncode) == (0, 0)
    assert found is not None
    assert (found.who, found.reason) == ("grace", "failover is tested")
    since = f"{found.paused_at:%Y-%m-%dT%H:%M:%SZ}"
    assert paused.stdout == f"all workers are paused by grace since {since}: failover is tested\n"
    assert "they receive nothing until signup-sync resume" in paused.stderr
    assert f"they were paused by grace since {since}: failover is tested; now they go on\n" in resumed.stderr
    assert resumed.stdout == "all workers go on\n"
    assert read(database_url) is None


def test_each_has_a_line_in_the_audit_log(database_url: str) -> None:
    paused = audit(run(database_url, "pause", "--why", "failover", "--yes"))
    again = audit(run(database_url, "pause", "--why", "upgrade", "--who", "ada", "--yes"))
    resumed = audit(run(database_url, "resume", "--who", "ada", "--yes"))
    nothing = audit(run(database_url, "resume", "--who", "ada"))

    common = {"event": "audit", "level": "info", "subject": "workers"}
    pause = {"since": paused["since"], "paused_by": "grace", "reason": "failover"}
    assert paused == {**common, "who": "grace", "what": "pause", "outcome": "done", **pause}
    assert again == {**common, "who": "ada", "what": "pause", "outcome": "paused_already", **pause}
    assert resumed == {**common, "who": "ada", "what": "resume", "outcome": "done", **pause}
    assert nothing == {**common, "who": "ada", "what": "resume", "outcome": "not_paused"}


def test_who_does_not_confirm_it_changes_nothing(database_url: str) -> None:
    refused = run(database_url, "pause", "--why", "failover", stdin="n\n")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith("signup-sync: nothing was changed\n")
    assert read(database_url) is None

    run(database_url, "pause", "--why", "failover", "--yes")
    assert run(database_url, "resume", stdin="n\n").returncode == 2
    assert read(database_url) is not None


def test_who_pauses_what_is_paused_hears_by_whom_since_when_and_why(database_url: str) -> None:
    run(database_url, "pause", "--why", "failover", "--yes")

    again = run(database_url, "pause", "--why", "upgrade", "--who", "ada")  # it does not ask

    assert again.returncode == 0
    assert again.stdout.startswith("nothing was changed: all workers are paused by grace since ")
    assert again.stdout.endswith(": failover\n")


def test_who_resumes_what_is_not_paused_hears_so(database_url: str) -> None:
    done = run(database_url, "resume")

    assert (done.returncode, done.stdout) == (0, "the workers are not paused\n")


def test_a_program_reads_json(database_url: str) -> None:
    done = [
        run(database_url, *args, "--yes", "--json")
        for args in (["pause", "--why", "failover"], ["pause", "--why", "upgrade"], ["resume"], ["resume"])
    ]

    paused, again, resumed, nothing = (json.loads(one.stdout) for one in done)
    pause = {"who": "grace", "since": paused["since"], "reason": "failover"}
    assert paused == {"paused": True, "changed": True, **pause}
    assert again == {"paused": True, "changed": False, **pause}
    assert resumed == {"paused": False, "changed": True, **pause}
    assert nothing == {"paused": False, "changed": False}


@pytest.mark.parametrize("text", ["", " ", "x" * 201, "a\nb", "a\x1b[31m"])
def test_a_reason_is_one_line_of_printable_text(text: str) -> None:
    done = run("dbname=none", "pause", "--why", text, "--yes")

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "Error: Invalid value for '--why': should be one line of 1 to 200 printable characters"
    )


@pytest.mark.parametrize("command", [["pause", "--why", "failover"], ["resume"]])
def test_a_database_that_was_not_migrated_is_one_line(empty_database_url: str, command: list[str]) -> None:
    done = run(empty_database_url, *command, "--yes")

    assert done.returncode == 2
    assert done.stderr.startswith("signup-sync: database: ")
    assert done.stderr.endswith("; run signup-sync db migrate\n")


def test_production_has_settings_of_its_own(database_url: str) -> None:
    done = run(
        "", "pause", "--env", "prod", "--why", "failover", "--yes", PROD_DATABASE_URL=f"{database_url}?sslmode=disable"
    )

    assert done.returncode == 0
    assert read(database_url) is not None
