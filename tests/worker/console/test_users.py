"""Where is this user, and why have they no row?"""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from db.connection import Connection
from db.pool import connect
from db.tables.deletions import Deletion, delete_users
from db.tables.users import NewUser, insert_users
from db.tables.worker_pause import read_worker_pause
from signup_sync.events import UserDeleted, parse_event
from tests.support.application import OWN_SCHEMA
from tests.support.dlq import Dlq
from tests.support.events import LATER, activity, deleted, sign_up, updated
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues, SqsServer
from tests.support.tables import users, write
from tests.support.user_pool import AdministratedPool, cognito_environment
from tests.support.wait import wait_until
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleThread, StartConsole


@pytest.fixture
def pool(sqs_server: SqsServer) -> Iterator[AdministratedPool]:
    with closing(AdministratedPool.create(sqs_server.endpoint_url)) as made:
        yield made


@pytest.fixture
def support(start_console: StartConsole, pool: AdministratedPool, queues: Queues) -> Operator:
    """Somebody at a console that knows the pool."""
    console = start_console(USER_POOL_ID=pool.id, **cognito_environment(queues.endpoint_url))
    return Operator(console.address).log_in(console.token)


@pytest.fixture
def ada(pool: AdministratedPool) -> str:
    return pool.confirm("ada", email="ada@example.org", name="Ada Lovelace")


def test_a_confirmed_user_without_a_row_is_found_by_any_name_and_enqueued(
    support: Operator, ada: str, dlq: Dlq, database_url: str
) -> None:
    names = ("ada", "ada@example.org", ada)
    for name in names:
        answer = support.post("/users", name=name)
        assert "They are confirmed in Cognito and have no row." in answer.words
        assert "ada@example.org" not in answer.words.replace(f'value="{name}"', "")

    enqueued = support.post("/users/enqueue", sub=ada)
    write(database_url, *dlq.event_bodies())

    assert "Their sign-up is in the events queue" in enqueued.words
    assert [(row[0], row[1], row[2]) for row in users(database_url)] == [(ada, "Ada Lovelace", "ada")]
    for name in names:
        assert "They have a row" in support.post("/users", name=name).words
    assert "Nothing to do" in support.post("/users/enqueue", sub=ada).words
    assert dlq.event_bodies() == []


def test_a_user_whose_sign_up_failed_is_led_to_the_dead_letter(support: Operator, ada: str, dlq: Dlq) -> None:
    [message_id] = dlq.fill(
        sign_up(ada, handle="a b", email="ada@example.org"), reason="invalid_event", detail="data.handle: white space"
    )
    dlq.fill(activity(ada), reason="unknown_author")
    support.post("/letters/look")

    for name in ("ada@example.org", "ada", ada):
        answer = support.post("/users", name=name)
        assert "They have no row, because their sign-up failed: invalid_event. data.handle: white space" in answer.words
        assert f'href="/letters/{message_id}"' in answer.text
        assert "activity.created.v1: unknown_author" in answer.words


def test_a_sign_up_that_failed_a_moment_ago_is_known_to_have(
    start_console: StartConsole, pool: AdministratedPool, ada: str, queues: Queues, dlq: Dlq
) -> None:
    settings = {"USER_POOL_ID": pool.id, **cognito_environment(queues.endpoint_url)}
    console = start_console(CONSOLE_REFRESH_SECONDS="600", **settings)  # by itself it does not look again
    support = Operator(console.address).log_in(console.token)
    assert "Their sign-up is no dead letter (all were read" in support.post("/users", name="ada").words
    dlq.fill(sign_up(ada, handle="a b"), reason="invalid_event")

    def verdict() -> str | None:
        """On a busy machine reading may take longer than a page waits; then it is unknown."""
        words = support.post("/users", name="ada").words
        return None if "is a dead letter is unknown" in words else words

    assert "because their sign-up failed: invalid_event" in (wait_until(verdict, 60, "it is never read") or "")


def test_what_could_not_be_read_is_unknown_and_not_no(
    start_console: StartConsole, pool: AdministratedPool, ada: str, queues: Queues, proxy: FaultProxy
) -> None:
    settings = {"USER_POOL_ID": pool.id, **cognito_environment(queues.endpoint_url)}
    console = start_console(endpoint_url=proxy.endpoint_url, **settings)
    support = Operator(console.address).log_in(console.token)
    proxy.down()

    words = support.post("/users", name="ada").words

    assert "They are confirmed in Cognito and have no row." in words
    assert "Whether their sign-up is a dead letter is unknown: they" in words
    assert "In the dead-letter queue unknown: they" in words
    assert "no dead letter (" not in words
    assert "of the dead letters it is unknown" in support.post("/users", name="nobody").words
    assert ada in words


def test_the_table_is_asked_by_id_handle_and_address_in_any_case(
    console: ConsoleThread, operator: Operator, database_url: str
) -> None:
    write(database_url, sign_up("1", handle="Grace", email="Grace@Example.com", display_name="Grace H."))

    for name in ("1", "gRACE", "grace@EXAMPLE.com"):
        answer = operator.post("/users", name=name)
        assert "They have a row" in answer.words
        assert "Grace@Example.com" not in answer.words
    assert "not asked: USER_POOL_ID is not set" in answer.words
    revealed = operator.post("/users/reveal", sub="1").words
    assert "Handle Grace Name Grace H. E-mail Grace@Example.com" in revealed
    assert [line["subject"] for line in console.audit() if line["what"] == "revealed"] == ["1"]


def test_who_has_not_confirmed_or_is_disabled_needs_no_mending(
    support: Operator, pool: AdministratedPool, ada: str
) -> None:
    pool.sign_up("eve")
    pool.disable("ada")

    eve = support.post("/users", name="eve").words

    assert "they have not confirmed their sign-up (UNCONFIRMED)" in eve
    assert "Enqueue" not in eve
    assert "are disabled in Cognito" in support.post("/users", name="ada").words
    assert "Nothing to do" in support.post("/users/enqueue", sub=ada).words


def test_nobody_is_an_answer_too(support: Operator) -> None:
    assert "Nobody of that name was found. Not in the table, not in Cognito" in support.post("/users", name="x").words
    assert support.post("/users", name="  ").status == 200
    assert support.post("/users/enqueue", sub="").status == 400


def test_no_name_breaks_the_question(support: Operator, ada: str) -> None:
    for name in ['"', "\\", "a\x00b", "x" * 400, "<script>", "\u202e", "%' OR 1=1 --", '" or sub ^= "']:
        answer = support.post("/users", name=name)

        assert (answer.status, "Nobody of that name" in answer.words) == (200, True), name
        assert ada not in answer.text, name


def test_a_user_who_is_only_here_is_said_to_be_unknown_to_cognito(
    support: Operator, database_url: str, dlq: Dlq
) -> None:
    write(database_url, sign_up("grace"))
    dlq.fill(activity("linus"))
    support.post("/letters/look")

    assert "In Cognito no In the table Signed up" in support.post("/users", name="grace").words
    assert (
        "They have no row, Cognito does not know them, and no dead letter is about their sign-up."
        in support.post("/users", name="linus").words
    )


def test_a_pool_that_cannot_be_asked_is_no_reason_to_say_nothing(
    start_console: StartConsole, queues: Queues, database_url: str
) -> None:
    write(database_url, sign_up("grace"))
    console = start_console(USER_POOL_ID="us-east-1_nowhere", **cognito_environment(queues.endpoint_url))
    operator = Operator(console.address).log_in(console.token)

    known, unknown = operator.post("/users", name="grace"), operator.post("/users", name="eve")

    assert "ResourceNotFoundException" in known.words
    assert "They have a row" in known.words
    assert "In Cognito could not be asked" in known.words
    assert "not in Cognito" not in unknown.words


def test_an_address_in_the_place_of_an_id_is_masked_too(operator: Operator, dlq: Dlq) -> None:
    [message_id] = dlq.fill(sign_up("odd@example.com"))
    operator.post("/letters/look")

    found = operator.post("/users", name="odd@example.com")

    assert "They have no row, because their sign-up failed" in found.words
    assert found.text.count("odd@example.com") == 3  # the question, and whom the two forms are about
    assert "odd@example.com" not in operator.get(f"/letters/{message_id}").text
    assert "odd@example.com" in operator.post("/users/reveal", sub="odd@example.com").words


def test_a_console_knows_the_schema_of_the_tables(start_console: StartConsole, shared_database_url: str) -> None:
    with connect(shared_database_url, OWN_SCHEMA) as connection:
        insert_users(connection, [NewUser("1", "Ada", "ada", None, datetime(2026, 1, 31, tzinfo=UTC))])
    console = start_console(database_url=shared_database_url, DATABASE_SCHEMA=OWN_SCHEMA)
    support = Operator(console.address).log_in(console.token)

    assert "They have a row" in support.post("/users", name="ADA").words
    support.post("/pause", why="failover is tested")
    with connect(shared_database_url, OWN_SCHEMA) as connection:
        assert read_worker_pause(connection) is not None


def tombstone(database_url: str, name: str, *, erases: bool = True) -> None:
    """Delete a user as a worker does."""
    with Connection.connect(database_url) as connection:
        delete_users(connection, [Deletion(name, datetime.fromisoformat(LATER), erases)])


def test_of_who_is_deleted_it_is_said_since_when_and_nothing_else(
    support: Operator, ada: str, database_url: str, dlq: Dlq
) -> None:
    write(database_url, sign_up(ada, handle="ada", email="ada@example.org"))
    tombstone(database_url, ada)

    answer = support.post("/users", name=ada)

    assert "Deleted since 2026-01-31 13:00:00 UTC." in answer.words
    assert "Cognito still has their account" in answer.words
    assert "They have a row" not in answer.words
    assert "In the table Deleted 2026-01-31 13:00:00 UTC uuid" in answer.words
    assert "Nothing to do" in support.post("/users/enqueue", sub=ada).words
    assert dlq.event_bodies() == []


def test_a_user_is_erased_when_their_id_was_typed(
    console: ConsoleThread, operator: Operator, database_url: str, dlq: Dlq
) -> None:
    write(database_url, sign_up("ada"), sign_up("grace"))
    dlq.fill(updated("ada", handle="a b"), activity("ada"), deleted("ada"), "broken", reason="invalid_event")
    dlq.fill(activity("grace"), sign_up("grace"))
    operator.post("/letters/look")

    refused = operator.post("/users/erase", sub="ada", typed="grace")
    assert (refused.status, "Nothing was erased: to erase a user" in refused.words) == (400, True)
    assert (dlq.event_bodies(), dlq.visible()) == ([], 6)

    erased = operator.post("/users/erase", sub="ada", typed=" ada ", activities="erase")
    console.wait_for_audit("deleted")

    assert "Their deletion is in the events queue." in erased.words
    [body] = dlq.event_bodies()
    event = parse_event(body)
    assert isinstance(event, UserDeleted)
    assert (event.data.cognito_user_id, event.data.activities, event.source) == ("ada", "erase", "/console")
    wait_until(lambda: len(dlq.dead_bodies()) == 3, 60, "their dead letters stay")
    assert not any('"cognito_user_id": "ada"' in body for body in dlq.dead_bodies())
    entries = [(line["what"], line["subject"], line["outcome"]) for line in console.audit()]
    assert ("erased", "ada", "enqueued") in entries
    assert [what for what, *_ in entries].count("deleted") == 3


def test_what_a_user_has_posted_can_stay(console: ConsoleThread, operator: Operator, dlq: Dlq) -> None:
    answer = operator.post("/users/erase", sub="ada", typed="ada", activities="keep")

    [body] = dlq.event_bodies()
    assert json.loads(body)["data"] == {"cognito_user_id": "ada", "activities": "keep"}
    assert "/jobs/" not in answer.text
    assert [line["outcome"] for line in console.audit() if line["what"] == "erased"] == ["activities_kept"]


def test_where_the_queue_does_not_take_the_deletion_nothing_is_erased(
    start_console: StartConsole, proxy: FaultProxy, dlq: Dlq
) -> None:
    console = start_console(endpoint_url=proxy.endpoint_url)
    operator = Operator(console.address).log_in(console.token)
    dlq.fill(activity("ada"))
    operator.post("/letters/look")
    proxy.down()

    answer = operator.post("/users/erase", sub="ada", typed="ada")

    assert (answer.status, "Nothing was erased" in answer.words) == (503, True)
    assert dlq.visible() == 1


def test_who_had_no_sign_up_is_not_taken_for_the_id_of_another_event(operator: Operator, dlq: Dlq) -> None:
    change = json.loads(updated("ada"))
    del change["data"]["cognito_user_id"]
    dlq.fill(json.dumps(change), updated("grace", handle="a b"), reason="invalid_event")
    operator.post("/letters/look")

    words = operator.post("/users", name=change["id"]).words
    assert "Nobody of that name was found." in words
    assert "Dead letters with that text in them" in words
    assert "because their sign-up failed" not in operator.post("/users", name="grace").words
