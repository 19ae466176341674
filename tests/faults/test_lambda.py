"""The trigger among failures, up to the row; how it fails by itself is in `tests/trigger_lambda/test_handler.py`."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.support.command import command_environment, run
from tests.support.fault_proxy import ANY, FaultProxy
from tests.support.sqs import Queues, aws_environment
from tests.support.tables import names, users
from tests.support.user_pool import AdministratedPool, cognito_environment
from tests.support.worker_process import WorkerProcess
from tests.trigger_lambda.container import Container, Event

Drain = Callable[..., WorkerProcess]


@pytest.fixture
def pool(queues: Queues) -> Iterator[AdministratedPool]:
    with closing(AdministratedPool.create(queues.endpoint_url)) as pool:
        yield pool


@pytest.fixture
def trigger(queues: Queues, sqs: FaultProxy) -> Iterator[Container]:
    with Container({**aws_environment(sqs.endpoint_url), "QUEUE_URL": queues.events_url}) as container:
        yield container


def confirmation(pool: AdministratedPool, username: str, sub: str) -> Event:
    """What Cognito invokes the trigger with."""
    return {
        "version": "1",
        "region": "us-east-1",
        "userPoolId": pool.id,
        "userName": username,
        "triggerSource": "PostConfirmation_ConfirmSignUp",
        "request": {"userAttributes": {"sub": sub, "name": "Ada"}},
        "response": {},
    }


def test_an_answer_that_is_lost_leaves_one_row(
    pool: AdministratedPool, queues: Queues, sqs: FaultProxy, trigger: Container, database_url: str, drain: Drain
) -> None:
    event = confirmation(pool, "ada", pool.confirm("ada", name="Ada"))
    sqs.drop_response("SendMessage", times=2)

    assert trigger.invoke(event).returned == event

    assert queues.counts()[0] == 3
    drain()
    assert [row[1:3] for row in users(database_url)] == [("Ada", "ada")]


@pytest.mark.parametrize(
    "error",
    [
        {"status": 500, "code": "InternalFailure"},
        {"status": 400, "code": "ThrottlingException"},
        {"status": 403, "code": "ExpiredTokenException"},
        {"status": 403, "code": "AccessDeniedException"},
        {"status": 400, "code": "QueueDoesNotExist"},
    ],
    ids=lambda error: error["code"],
)
def test_what_cannot_be_enqueued_is_found_by_a_reconciliation(
    pool: AdministratedPool,
    queues: Queues,
    sqs: FaultProxy,
    trigger: Container,
    database_url: str,
    drain: Drain,
    error: dict[str, str | int],
) -> None:
    sub = pool.confirm("ada", name="Ada")
    event = confirmation(pool, "ada", sub)
    sqs.fail(ANY, **error)  # type: ignore[arg-type]  # they are keywords of different types

    done = trigger.invoke(event)

    assert done.returned == event
    assert any("enqueue_failed" in line and sub in line for line in done.log)
    assert queues.counts() == (0, 0, 0)
    sqs.clear()
    environment = command_environment(
        {
            "QUEUE_URL": queues.events_url,
            "DATABASE_URL": database_url,
            **aws_environment(queues.endpoint_url),
            **cognito_environment(queues.endpoint_url),
        }
    )
    assert run("reconcile", "--user-pool-id", pool.id, environment=environment).returncode == 0
    drain()
    assert names(database_url) == {sub}
