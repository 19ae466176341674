"""Somebody signs up, and everything on the way to the table is what was deployed.

cognito-local, which has no CloudFormation, calls the function that the stack made in ministack from the real zip; the
function has the stack's settings and fills the stack's queue; the worker has the settings of the stack's task
definition and logs in with the stack's secret. Postgres stands in for RDS.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.deploy import tools
from tests.deploy.ministack import client, container_settings, ecs_plays, environment_of, run_deploy, start_ministack
from tests.e2e import node_parts
from tests.e2e.node_parts import start_cognito_local
from tests.e2e.user_pool import UserPool, cognito_client
from tests.support.postgres import Postgres
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess

missing = node_parts.why_missing() or tools.why_missing("ministack")
pytestmark = [pytest.mark.node, pytest.mark.skipif(missing is not None, reason=missing or "")]

ARRIVAL_TIMEOUT = 60.0  # seconds: the first invocation of a function starts an interpreter


@dataclass(frozen=True)
class System:
    """The deployed environment, and the database that stands in for its own."""

    address: str
    folder: Path
    outputs: dict[str, str]
    postgres: Postgres


@pytest.fixture
def system(tmp_path: Path, own_postgres: Postgres) -> Iterator[System]:
    with ExitStack() as stack:
        address = stack.enter_context(start_ministack(tmp_path))
        stack.enter_context(ecs_plays(address, own_postgres.url()))
        result = run_deploy(tmp_path, address, "deploy", "--json", "--image", "example/signup-sync:1")
        assert result.returncode == 0, result.stderr
        require_passwords(own_postgres)
        yield System(address, tmp_path, json.loads(result.stdout), own_postgres)
        gone = run_deploy(tmp_path, address, "destroy", "--with-data")
        assert gone.returncode == 0, gone.stderr


def test_who_signs_up_at_the_deployed_system_gets_a_row(system: System) -> None:
    folder = system.folder / "cognito"
    folder.mkdir()
    name = system.outputs["TriggerName"]
    with (
        WorkerProcess(environment=worker_settings(system)) as worker,
        start_cognito_local(folder, lambda_address=system.address, post_confirmation=name) as cognito,
        closing(cognito_client(cognito.address)) as users,
    ):
        pool = UserPool.create(users, sign_in_with_email=True)
        sub = pool.sign_up("ada@example.com", email="ada@example.com", name="Ada")
        wait_until(lambda: names(system), ARRIVAL_TIMEOUT, f"no row has arrived\n{worker}")

    assert names(system) == [(sub, "Ada")]


def worker_settings(system: System) -> dict[str, str]:
    """The task definition's settings, with the embedded Postgres' address for RDS' own."""
    with closing(client("ecs", system.address)) as ecs:
        settings = container_settings(ecs, system.outputs["WorkerTaskArn"])
    url = f"postgresql://signup_sync_worker@127.0.0.1:{system.postgres.port}/postgres"
    return {**environment_of(system.address), **settings, "DATABASE_URL": url, "PATH": os.environ["PATH"]}


def require_passwords(postgres: Postgres) -> None:
    """Let in without one nobody but the superuser, so that the secret's password is needed."""
    ((hba_file,),) = postgres.execute("SHOW hba_file")
    Path(hba_file).write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    postgres.execute("SELECT pg_reload_conf()")


def names(system: System) -> list[tuple[str, str]]:
    with psycopg.connect(system.postgres.url()) as connection:
        return connection.execute("SELECT cognito_user_id, display_name FROM users").fetchall()
