"""People sign up at a real user pool, and the rows are in Postgres: no part of the way between is a stand-in.

cognito-local calls our Lambda, which sends to fauxqs, from which a worker process fills an embedded Postgres.
"""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
from psycopg.rows import class_row

from signup_sync import ActivityCreated, Publisher, UserDeleted, UserUpdated
from tests.e2e.lambda_server import FUNCTION_NAME, INVOKED
from tests.e2e.node_parts import start_cognito_local, start_fauxqs, why_missing
from tests.e2e.server_process import ServerProcess
from tests.e2e.user_pool import UserPool, cognito_client
from tests.support.dlq import Dlq
from tests.support.postgres import Postgres
from tests.support.sqs import Queues, aws_environment, create_queues
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess, worker_environment

pytestmark = [pytest.mark.node, pytest.mark.skipif(why_missing() is not None, reason=why_missing() or "")]

ROOT = Path(__file__).parents[2]

ARRIVAL_TIMEOUT = 20.0  # seconds, of which starting the worker is the most
OUTAGE_TIMEOUT = 60.0  # seconds, for the worker to notice that the database is back too


@dataclass(frozen=True)
class User:
    """A row of `users`, without what Postgres gives it."""

    cognito_user_id: str
    display_name: str
    handle: str
    email: str | None


@pytest.fixture
def queues() -> Iterator[Queues]:
    with start_fauxqs() as fauxqs, closing(create_queues(fauxqs.address)) as queues:
        yield queues


@pytest.fixture
def trigger(queues: Queues) -> Iterator[ServerProcess]:
    """Our Lambda."""
    environment = {
        **aws_environment(queues.endpoint_url),
        "QUEUE_URL": queues.events_url,
        "USER_ATTRIBUTES": "custom:tenant_id",
    }
    with ServerProcess([sys.executable, "-m", "tests.e2e.lambda_server"], cwd=ROOT, env=environment) as server:
        yield server


@pytest.fixture
def cognito(trigger: ServerProcess, tmp_path: Path) -> Iterator[CognitoIdentityProviderClient]:
    with (
        start_cognito_local(tmp_path, lambda_address=trigger.address, post_confirmation=FUNCTION_NAME) as server,
        closing(cognito_client(server.address)) as client,
    ):
        yield client


@pytest.fixture
def user_pool(cognito: CognitoIdentityProviderClient) -> UserPool:
    """A pool whose users choose a username."""
    return UserPool.create(cognito, sign_in_with_email=False)


@pytest.fixture
def worker(queues: Queues, database_url: str) -> Iterator[WorkerProcess]:
    with WorkerProcess(environment=worker_environment(database_url, queues)) as worker:
        yield worker


@pytest.mark.usefixtures("worker")
def test_who_signs_up_gets_a_row(user_pool: UserPool, database_url: str) -> None:
    sub = user_pool.sign_up("ada", email="ada@example.com", name="Ada Łukasz 🎈", preferred_username="countess")

    wait_for_users(database_url, {User(sub, "Ada Łukasz 🎈", "countess", "ada@example.com")})


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("sign_in_with_email", [True, False])
def test_an_email_address_as_username_is_not_made_public(
    cognito: CognitoIdentityProviderClient, database_url: str, sign_in_with_email: bool
) -> None:
    user_pool = UserPool.create(cognito, sign_in_with_email=sign_in_with_email)

    sub = user_pool.sign_up("bob@example.com", email="bob@example.com")

    handle = f"user-{sub[:8]}"
    wait_for_users(database_url, {User(sub, display_name=handle, handle=handle, email="bob@example.com")})


def test_a_forgotten_password_adds_nothing(
    user_pool: UserPool, trigger: ServerProcess, queues: Queues, worker: WorkerProcess, database_url: str
) -> None:
    sub = user_pool.sign_up("carol", email="carol@example.com")
    wait_for_users(database_url, {User(sub, display_name="carol", handle="carol", email="carol@example.com")})
    # Whatever was enqueued from here on would stay there to be counted.
    stop(worker)
    before = table(database_url)

    user_pool.reset_forgotten_password("carol")

    expected = ["PostConfirmation_ConfirmSignUp", "PostConfirmation_ConfirmForgotPassword"]
    wait_until(lambda: invocations(trigger) == expected, ARRIVAL_TIMEOUT, "Cognito has not called the Lambda")
    assert sum(queues.counts()) == 0
    assert table(database_url) == before
    # It would have been seen: the next sign-up is.
    user_pool.sign_up("dave", email="dave@example.com")
    assert sum(queues.counts()) == 1


def test_who_signs_up_while_the_database_is_away_gets_a_row_when_it_is_back(
    user_pool: UserPool, queues: Queues, worker: WorkerProcess, postgres: Postgres, database_url: str
) -> None:
    first = user_pool.sign_up("erin", email="erin@example.com")
    expected = {User(first, display_name="erin", handle="erin", email="erin@example.com")}
    wait_for_users(database_url, expected)

    postgres.stop()
    try:
        for name in ("frank", "grace"):
            sub = user_pool.sign_up(name, email=f"{name}@example.com")
            expected.add(User(sub, display_name=name, handle=name, email=f"{name}@example.com"))
    finally:
        postgres.start()

    wait_for_users(database_url, expected, OUTAGE_TIMEOUT)
    assert worker.running
    assert queues.dead_letter_count() == 0


def test_no_log_holds_personal_data(
    user_pool: UserPool, trigger: ServerProcess, worker: WorkerProcess, database_url: str
) -> None:
    user_pool.sign_up("heidi", email="heidi@example.com", name="Heidi Lamarr", phone_number="+15550100")
    wait_until(lambda: table(database_url), ARRIVAL_TIMEOUT, "no row has arrived")
    user_pool.reset_forgotten_password("heidi")
    stop(worker)

    logs = str(worker) + "".join(trigger.lines)

    for secret in ("@example.com", "Lamarr", "+15550100"):
        assert secret not in logs


def test_a_life_from_the_sign_up_to_a_dead_letter_after_the_end(
    user_pool: UserPool, queues: Queues, database_url: str
) -> None:
    """Nothing local has EventBridge or CloudTrail: that the account is gone is published, as a backend does it."""
    environment = worker_environment(database_url, queues, settings={"MAX_ATTEMPTS": "1"})
    with (
        WorkerProcess(environment=environment) as worker,
        Publisher(queues.events_url, client=queues.client) as publisher,
    ):
        sub = user_pool.sign_up("ivy", **{"email": "ivy@example.com", "name": "Ivy", "custom:tenant_id": "north"})
        wait_for_row(database_url, sub, ("Ivy", "ivy", {"custom:tenant_id": "north"}, False))

        publisher.publish(UserUpdated.new(cognito_user_id=sub, handle="ivy", display_name="Ivy Lou", source="/backend"))
        wait_for_row(database_url, sub, ("Ivy Lou", "ivy", {}, False))

        missing = ActivityCreated.new(author=sub, message="never sent", source="/backend")
        reply = ActivityCreated.new(author=sub, message="too early", reply_to=missing.id, source="/backend")
        publisher.publish_many([reply, ActivityCreated.new(author=sub, message="hello", source="/backend")])
        wait_until(lambda: messages(database_url) == ["hello"], ARRIVAL_TIMEOUT, "nothing was posted")
        wait_until(lambda: queues.dead_letter_count() == 1, ARRIVAL_TIMEOUT, "the reply is no dead letter")

        user_pool.delete("ivy")
        publisher.publish(UserDeleted.new(cognito_user_id=sub, source="/backend"))
        wait_for_row(database_url, sub, (None, None, {}, True))
        assert Dlq(queues).run("replay").returncode == 0

        wait_until(lambda: not sum(queues.counts()), ARRIVAL_TIMEOUT, "the reply is not done")
        assert queues.dead_letter_count() == 0
        wait_for_row(database_url, sub, (None, None, {}, True))
        assert messages(database_url) == [None]
        # Their handle is free.
        again = user_pool.sign_up("ivy", email="ivy@example.com")
        wait_for_row(database_url, again, ("ivy", "ivy", {}, False))
        assert "Ivy" not in str(worker)


def wait_for_row(database_url: str, sub: str, expected: tuple[object, ...]) -> None:
    """Display name, handle, attributes and whether they are deleted."""
    wait_until(lambda: row_of(database_url, sub) == expected, ARRIVAL_TIMEOUT, f"the row is not {expected}")


def row_of(database_url: str, sub: str) -> tuple[object, ...] | None:
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT display_name, handle, attributes, deleted_at IS NOT NULL FROM users WHERE cognito_user_id = %s",
            (sub,),
        ).fetchone()


def messages(database_url: str) -> list[str | None]:
    """What is left of all that was posted."""
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute("SELECT message FROM activities")]


def wait_for_users(database_url: str, expected: set[User], timeout: float = ARRIVAL_TIMEOUT) -> None:
    """Wait until the table holds these users, and nobody else."""
    wait_until(lambda: users(database_url) >= expected, timeout, f"the table does not hold {expected}")
    assert users(database_url) == expected


def users(database_url: str) -> set[User]:
    """The rows of `users`."""
    with psycopg.connect(database_url) as connection, connection.cursor(row_factory=class_row(User)) as cursor:
        cursor.execute("SELECT cognito_user_id, display_name, handle, email FROM users")
        return set(cursor)


def table(database_url: str) -> list[tuple[object, ...]]:
    """All columns of `users`, `updated_at` too."""
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT * FROM users ORDER BY cognito_user_id").fetchall()


def invocations(trigger: ServerProcess) -> list[str]:
    """The trigger sources that the Lambda was called with, in order."""
    return [line.removeprefix(INVOKED).strip() for line in trigger.lines if line.startswith(INVOKED)]


def stop(worker: WorkerProcess) -> None:
    """Stop the worker as ECS does, and wait until it has stopped."""
    worker.terminate()
    assert worker.wait() == 0
