from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.command import command_environment
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues, SqsServer, aws_environment
from tests.support.user_pool import AdministratedPool, cognito_environment


@pytest.fixture
def pool(sqs_server: SqsServer) -> Iterator[AdministratedPool]:
    with closing(AdministratedPool.create(sqs_server.endpoint_url)) as pool:
        yield pool


@pytest.fixture
def proxy(sqs_server: SqsServer) -> Iterator[FaultProxy]:
    with FaultProxy(sqs_server.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def environment(queues: Queues, database_url: str) -> dict[str, str]:
    return command_environment(
        {
            "QUEUE_URL": queues.events_url,
            "DATABASE_URL": database_url,
            **aws_environment(queues.endpoint_url),
            **cognito_environment(queues.endpoint_url),
        }
    )
