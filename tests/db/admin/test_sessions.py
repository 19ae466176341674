from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from db.admin.sessions import Session, end_session, list_sessions
from db.pool import connect
from signup_sync.postgres.statements import Connection
from tests.support.postgres import CreateRole
from tests.support.wait import wait_until


@pytest.fixture
def observer(database_url: str) -> Iterator[Connection]:
    with closing(connect(database_url)) as observer:
        yield observer


def session_of(observer: Connection, other: Connection) -> Session:
    (session,) = (s for s in list_sessions(observer) if s.pid == other.info.backend_pid)
    return session


def test_a_session_says_who_it_is_and_what_it_does(observer: Connection, database_url: str) -> None:
    with closing(connect(f"{database_url}?application_name=report")) as other:
        idle = session_of(observer, other)
        with other.transaction():
            other.execute("SELECT 1")
            open_transaction = session_of(observer, other)

    assert (idle.user_name, idle.application, idle.client) == ("postgres", "report", "127.0.0.1")
    assert (idle.state, idle.waiting_for, idle.blocked_by) == ("idle", None, [])
    assert idle.age_seconds is not None
    assert idle.state_seconds is not None
    # Postgres takes the time of the state and that of the session independently: either can be the first.
    assert min(idle.age_seconds, idle.state_seconds) >= 0
    assert (open_transaction.state, open_transaction.waiting_for) == ("idle in transaction", None)


def test_our_own_session_and_those_of_other_databases_are_not_listed(
    observer: Connection, empty_database_url: str
) -> None:
    with closing(connect(empty_database_url)):
        assert list_sessions(observer) == []


def test_who_waits_for_a_lock_is_shown_with_who_holds_it(observer: Connection, database_url: str) -> None:
    with closing(psycopg.connect(database_url)) as first, closing(psycopg.connect(database_url)) as second:
        holder = first.info.backend_pid
        first.execute("LOCK TABLE users")
        with ThreadPoolExecutor() as executor:
            waiting = executor.submit(second.execute, "SELECT FROM users")
            wait_until(lambda: session_of(observer, second).blocked_by != [], 10, "the second does not wait")
            blocked = session_of(observer, second)
            first.rollback()
            waiting.result()

    assert (blocked.state, blocked.waiting_for) == ("active", "Lock relation")
    assert blocked.blocked_by == [holder]


def test_a_session_that_is_ended_is_gone_and_its_transaction_undone(observer: Connection, database_url: str) -> None:
    with closing(psycopg.connect(database_url)) as other:
        other.execute("INSERT INTO users (cognito_user_id, display_name, handle) VALUES ('1', 'Ada', 'ada')")

        assert end_session(observer, session_of(observer, other))

        with pytest.raises(psycopg.errors.AdminShutdown):
            other.execute("SELECT 1")
    assert list_sessions(observer) == []
    assert observer.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_another_session_with_the_same_pid_is_not_ended(observer: Connection, database_url: str) -> None:
    with closing(connect(database_url)) as other:
        session = session_of(observer, other)

        assert session.started_at
        assert end_session(observer, replace(session, started_at=session.started_at - timedelta(seconds=1)))

        assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_role_without_the_right_sees_that_somebody_is_there_and_may_not_end_them(
    observer: Connection, role: CreateRole
) -> None:
    with closing(connect(role())) as stranger:
        session = session_of(stranger, observer)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            end_session(stranger, session)

    assert (session.user_name, session.application) == ("postgres", "signup-sync")
    assert (session.state, session.client, session.age_seconds, session.started_at) == ("", "", None, None)
