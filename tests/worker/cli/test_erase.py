"""`signup-sync erase`: a person is gone from the table and from the dead letters, and nobody else is."""

from collections.abc import Callable

import pytest

from signup_sync.events import UserDeleted, parse_event
from tests.support import tables
from tests.support.dlq import Dlq
from tests.support.events import activity, body, sign_up, updated
from tests.support.fault_proxy import FaultProxy
from tests.support.invoke import invoke
from tests.support.sqs import aws_environment
from tests.support.worker_process import WorkerProcess

THEIRS = [
    sign_up("ada", handle="a b"),
    activity("ada", "\x07"),
    updated("ada", display_name=""),
    body("user.signed_up.v1", "ada", {"email": 42}),
    sign_up("ada")[:-9],  # cut, so that it is no JSON
    '{"type": "user.signed_up.v1", "data": {"email": "ADA@example.com"}}',
]
OTHERS = [sign_up("bob", handle="b b"), activity("bob", "about ada@example.com\x07"), "no JSON"]


@pytest.fixture
def environment(dlq: Dlq, database_url: str) -> dict[str, str]:
    tables.write(database_url, sign_up("ada"), sign_up("bob"), activity("ada"), activity("ada"), activity("bob"))
    return {**dlq.environment, "DATABASE_URL": database_url}


def row(database_url: str, name: str = "ada") -> tuple[object, ...]:
    return next(each for each in tables.users(database_url) if each[0] == name)


def events(dlq: Dlq) -> list[UserDeleted]:
    parsed = [parse_event(each) for each in dlq.event_bodies()]
    assert all(isinstance(event, UserDeleted) for event in parsed)
    return [event for event in parsed if isinstance(event, UserDeleted)]


def test_by_an_address_nothing_is_left_in_the_table_nor_in_dead_letters(
    dlq: Dlq, database_url: str, environment: dict[str, str], drain: Callable[..., WorkerProcess]
) -> None:
    dlq.fill(*THEIRS, *OTHERS)

    done = invoke("erase", "Ada@Example.com", environment=environment, stdin="y\n")

    assert done.returncode == 0, done.stderr
    *_, prompt = done.stderr.splitlines()
    assert prompt.startswith("Erase this for good?")
    assert done.stdout.splitlines()[:4] == [
        "user:         ada",
        "row:          e-mail address, name, handle and attributes are erased; a tombstone stays",
        "activities:   2 erased",
        "dead letters: 6 deleted, without a copy",
    ]
    assert "6 dead letters deleted\nOut of reach" in done.stdout
    assert dlq.dead_bodies() == sorted(OTHERS)
    drain()
    assert row(database_url)[:4] == ("ada", None, None, None)
    assert [each[2] for each in tables.activities(database_url) if each[1] == "ada"] == [None, None]
    assert row(database_url, "bob")[3] == "bob@example.com"


@pytest.mark.parametrize(("arguments", "answer"), [(("--dry-run",), ""), ((), "n\n")])
def test_without_agreement_nothing_is_erased(
    dlq: Dlq, environment: dict[str, str], arguments: tuple[str, ...], answer: str
) -> None:
    dlq.fill(THEIRS[0])

    done = invoke("erase", "ada", *arguments, environment=environment, stdin=answer)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "nothing was erased"
    assert (events(dlq), dlq.visible()) == ([], 1)


def test_activities_may_be_kept(dlq: Dlq, environment: dict[str, str]) -> None:
    done = invoke("erase", "ada", "--keep-activities", "--yes", environment=environment)

    assert done.returncode == 0, done.stderr
    assert "activities:   2 kept\n" in done.stdout
    [event] = events(dlq)
    assert (event.data.cognito_user_id, event.data.activities) == ("ada", "keep")


def test_who_has_no_row_gets_a_tombstone_and_twice_is_once(
    database_url: str, environment: dict[str, str], drain: Callable[..., WorkerProcess]
) -> None:
    first = invoke("erase", "eve", "--yes", environment=environment)
    drain()

    again = invoke("erase", "eve", "--yes", environment=environment)

    assert (first.returncode, again.returncode) == (0, 0)
    assert "row:          there is none; a tombstone keeps late events out" in first.stdout
    assert "row:          deleted since" in again.stdout
    assert row(database_url, "eve")[:4] == ("eve", None, None, None)


def test_an_address_is_that_of_one_person_or_refused(dlq: Dlq, database_url: str, environment: dict[str, str]) -> None:
    tables.write(database_url, sign_up("twin", email="bob@example.com"))

    nobody = invoke("erase", "nobody@example.com", "--yes", environment=environment)
    several = invoke("erase", "bob@example.com", "--yes", environment=environment)

    assert (nobody.returncode, several.returncode) == (2, 2)
    assert nobody.stderr.startswith("signup-sync: nobody in the table has this e-mail address: give the person's sub")
    assert several.stderr == "signup-sync: several people have this e-mail address: give the sub of one (bob, twin)\n"
    assert events(dlq) == []


def test_a_handle_is_nobodys_id(database_url: str, environment: dict[str, str]) -> None:
    tables.write(database_url, sign_up("5f0c", handle="grace"))

    done = invoke("erase", "grace", "--dry-run", environment=environment)

    assert "row:          there is none" in done.stdout


def test_a_queue_that_takes_nothing_leaves_the_dead_letters(
    dlq: Dlq, environment: dict[str, str], proxy: FaultProxy
) -> None:
    dlq.fill(THEIRS[0])
    proxy.fail("SendMessageBatch", status=403, code="AccessDenied", message="no")

    done = invoke("erase", "ada", "--yes", environment={**environment, **aws_environment(proxy.endpoint_url)})

    assert done.returncode == 2
    assert done.stderr.startswith("signup-sync: nothing was erased: ")
    assert dlq.visible() == 1


def test_no_id_is_refused_in_one_line(environment: dict[str, str]) -> None:
    done = invoke("erase", "x" * 200, "--yes", environment=environment)

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith("signup-sync: this is no user's id: data.cognito_user_id: ")
