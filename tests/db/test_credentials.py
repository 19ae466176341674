"""Passwords that change while the worker runs, and the role that it runs under."""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db.admin.roles import StillMember, grant_reconciler, grant_worker
from db.credentials import Conninfo
from db.migrations import migrate
from db.pool import Database
from db.tables.activities import NewActivity, insert_activities
from db.tables.deletions import Deletion, delete_users
from db.tables.users import NewProfile, NewUser, insert_users, update_users
from tests.support.events import activity, sign_up
from tests.support.postgres import Postgres
from tests.support.sqs import REGION, Queues, SqsServer, aws_environment, create_queues
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess, worker_environment

ROLE = "signup_sync_worker"
ARRIVAL_TIMEOUT = 30.0  # seconds
ROOT = Path(__file__).parents[2]


# Members of rds_iam log in by IAM alone, as on RDS (Amazon RDS User Guide, "Database authentication").
_HBA = """
host all postgres 127.0.0.1/32 trust
host all +rds_iam 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class Secret:
    """A secret of the local Secrets Manager that holds the role's password."""

    endpoint_url: str
    arn: str

    @classmethod
    def create(cls, endpoint_url: str, password: str) -> "Secret":
        with closing(secrets_client(endpoint_url)) as client:
            answer = client.create_secret(Name=f"worker-{uuid.uuid4().hex}", SecretString=secret_string(password))
        return cls(endpoint_url, answer["ARN"])

    def put(self, password: str) -> None:
        with closing(secrets_client(self.endpoint_url)) as client:
            client.put_secret_value(SecretId=self.arn, SecretString=secret_string(password))

    @property
    def settings(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL_SECRETS_MANAGER": self.endpoint_url, "DATABASE_SECRET_ARN": self.arn}


def secrets_client(endpoint_url: str):  # type: ignore[no-untyped-def] # its stubs are not installed
    return boto3.client(
        "secretsmanager",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def secret_string(password: str) -> str:
    return json.dumps({"username": ROLE, "password": password, "engine": "postgres"})


@pytest.fixture(scope="module")
def guarded_postgres() -> Iterator[Postgres]:
    """A Postgres, migrated, that asks everybody but its superuser for a password."""
    with Postgres() as server:
        migrate(server.url())
        ((hba_file,),) = server.execute("SHOW hba_file")
        Path(hba_file).write_text(_HBA)
        server.execute("SELECT pg_reload_conf()")
        yield server


@dataclass(frozen=True)
class System:
    """A worker that logs in as its own role with the secret's password; DATABASE_URL names neither."""

    postgres: Postgres
    queues: Queues
    secret: Secret
    worker: WorkerProcess

    def change_password(self, password: str) -> None:
        """In the database alone; the connections end, which otherwise stay valid, as they would at a failover."""
        self.postgres.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
        self.postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> 'postgres'")

    def check_arrival(self, name: str) -> None:
        """A user who signs up now gets into the table."""
        self.queues.send(sign_up(name))
        self.wait_for_user(name)

    def wait_for_user(self, name: str) -> None:
        statement = f"SELECT 1 FROM users WHERE cognito_user_id = '{name}'"  # noqa: S608 (made here)
        wait_until(lambda: self.postgres.execute(statement), ARRIVAL_TIMEOUT, f"{name} has not arrived")


@pytest.fixture(scope="module")
def system(guarded_postgres: Postgres, sqs_server: SqsServer) -> Iterator[System]:
    grant_worker(guarded_postgres.url(), ROLE, password="the first")
    secret = Secret.create(sqs_server.endpoint_url, "the first")
    url = f"postgresql://127.0.0.1:{guarded_postgres.port}/postgres"
    with (
        closing(create_queues(sqs_server.endpoint_url)) as queues,
        WorkerProcess(environment=worker_environment(url, queues, settings=secret.settings)) as worker,
    ):
        yield System(guarded_postgres, queues, secret, worker)


def test_a_worker_goes_on_with_the_new_password_without_a_restart(system: System) -> None:
    system.check_arrival("before")

    system.secret.put("the second")
    system.change_password("the second")

    system.check_arrival("after")
    assert system.worker.running
    assert "the second" not in str(system.worker)
    assert "the first" not in str(system.worker)


def test_a_password_that_the_database_does_not_take_yet_is_an_outage_and_no_more(system: System) -> None:
    system.check_arrival("calm")
    outages = len(system.worker.events("paused"))

    system.change_password("the third")
    system.queues.send(sign_up("between"))
    system.worker.wait_for("paused", nth=outages + 1)
    system.secret.put("the third")

    system.wait_for_user("between")
    assert system.queues.dead_letter_count() == 0


def test_the_worker_does_all_of_its_work_under_its_role(system: System) -> None:
    parent = str(uuid.uuid4())

    system.queues.send(sign_up("ada"), activity("ada", id=parent), activity("ada", reply_to=parent))
    system.queues.send(sign_up("ida", handle="ADA"))  # which is taken

    count = f"SELECT 1 FROM activities WHERE uuid = '{parent}' AND replies_count = 1"  # noqa: S608 (made here)
    wait_until(lambda: system.postgres.execute(count), ARRIVAL_TIMEOUT, "the reply was not counted")
    system.wait_for_user("ida")
    assert system.queues.dead_letter_count() == 0


@pytest.fixture
def worker_role(database_url: str) -> Iterator[str]:
    """A role that has been granted what the worker needs in the test's database, and no password."""
    role = f"worker_{uuid.uuid4().hex}"
    grant_worker(database_url, role)
    yield role
    with psycopg.connect(database_url) as connection:
        connection.execute(f"DROP OWNED BY {role}".encode())
        connection.execute(f"DROP ROLE {role}".encode())


def test_the_statements_run_under_the_worker_role(database_url: str, worker_role: str) -> None:
    now = datetime.now(UTC)
    parent = NewActivity(uuid.uuid4(), "ada", "hello", None, None, now)
    reply = NewActivity(uuid.uuid4(), "ada", "hello back", parent.uuid, None, now)
    with closing(open_database(f"{database_url}?user={worker_role}")) as database:
        database.probe()
        database.rehearse()
        assert database.read_pause() is None
        with database.transaction() as connection:
            users = insert_users(connection, [NewUser(name, name, "ada", None, now) for name in ("ada", "ida")])
            activities = insert_activities(connection, [parent, reply])
        with database.transaction() as connection:
            profiles = [NewProfile(uuid.uuid4(), name, name, name, None, now + timedelta(1)) for name in ("ada", "ida")]
            updates = update_users(connection, profiles)
            deleted = delete_users(connection, [Deletion(name, now, erases=True) for name in ("ada", "eve")])

    assert users.inserted == {"ada", "ida"}
    assert activities.inserted == {parent.uuid, reply.uuid}
    assert updates.updated == {profile.event_id for profile in profiles}
    assert deleted == {"ada", "eve"}
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT max(replies_count), max(message) FROM activities").fetchone() == (1, None)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT email FROM users",
        "SELECT handle FROM users",
        "SELECT message FROM activities",
        "SELECT attributes FROM users",
        "UPDATE users SET display_name = email",
        "UPDATE users SET display_name = 'mine' RETURNING email",
        "UPDATE users SET display_name = 'mine' WHERE email LIKE 'a%'",
        "UPDATE activities SET message = 'mine' RETURNING message",
        "UPDATE activities SET reply_to_activity_uuid = NULL",
        "UPDATE activities SET created_at = now()",
        "UPDATE users SET cognito_user_id = 'mine'",
        "UPDATE activities SET user_uuid = gen_random_uuid()",
        "DELETE FROM users",
        "TRUNCATE activities",
        "INSERT INTO worker_pause (who, reason) VALUES ('worker', 'mine')",
        "DELETE FROM worker_pause",
        "CREATE TABLE mine ()",
        "UPDATE alembic_version SET version_num = '0'",
    ],
)
def test_the_worker_role_may_do_nothing_else(database_url: str, worker_role: str, statement: str) -> None:
    url = f"{database_url}?user={worker_role}"
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.mark.process
def test_the_role_keeps_its_password_when_it_is_granted_again(guarded_postgres: Postgres) -> None:
    role = "another_worker"
    assert grant_worker(guarded_postgres.url(), role, password="the first")
    assert not grant_worker(guarded_postgres.url(), role, password="another")

    psycopg.connect(guarded_postgres.url(user=role), password="the first").close()


@pytest.fixture
def rds_iam(guarded_postgres: Postgres) -> Iterator[None]:
    """RDS' own role."""
    guarded_postgres.execute("CREATE ROLE rds_iam")
    yield
    guarded_postgres.execute("DROP ROLE rds_iam")


def logs_in(postgres: Postgres, role: str, password: str) -> bool:
    try:
        psycopg.connect(postgres.url(user=role), password=password).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.process
@pytest.mark.usefixtures("rds_iam")
def test_the_role_changes_between_iam_and_a_password(guarded_postgres: Postgres) -> None:
    role = "changing_worker"
    url = guarded_postgres.url()
    has_password = f"SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = '{role}'"  # noqa: S608 (made here)
    assert grant_worker(url, role, iam=True)
    grant_worker(url, role)  # which says nothing of how it logs in
    assert not logs_in(guarded_postgres, role, "the first")

    grant_worker(url, role, password="the first")
    assert logs_in(guarded_postgres, role, "the first")
    grant_worker(url, role, password="another")  # in the middle of a rotation
    assert logs_in(guarded_postgres, role, "the first")

    for _ in range(2):
        grant_worker(url, role, iam=True)
        assert guarded_postgres.execute(has_password) == [(False,)]
        assert not logs_in(guarded_postgres, role, "the first")

    grant_worker(url, role, password="the second")
    assert logs_in(guarded_postgres, role, "the second")


@pytest.mark.process
@pytest.mark.usefixtures("rds_iam")
def test_the_reconcilers_role_has_no_password_where_it_logs_in_by_iam(guarded_postgres: Postgres) -> None:
    role = "reconciler"
    url = guarded_postgres.url()
    assert grant_reconciler(url, role)
    guarded_postgres.execute(f"ALTER ROLE {role} PASSWORD 'of theirs'")
    assert not grant_reconciler(url, role)
    assert logs_in(guarded_postgres, role, "of theirs")

    assert not grant_reconciler(url, role, iam=True)

    assert not logs_in(guarded_postgres, role, "of theirs")
    assert guarded_postgres.execute(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'") == [(None,)]  # noqa: S608 (made here)
    assert guarded_postgres.execute(f"SELECT pg_has_role('{role}', 'rds_iam', 'MEMBER')") == [(True,)]


@pytest.mark.process
@pytest.mark.usefixtures("rds_iam")
def test_who_else_has_granted_iam_must_take_it_back(guarded_postgres: Postgres) -> None:
    url = guarded_postgres.url()
    guarded_postgres.execute("CREATE ROLE granter")
    guarded_postgres.execute("GRANT rds_iam TO granter WITH ADMIN OPTION")
    guarded_postgres.execute("CREATE ROLE granted_worker LOGIN")
    guarded_postgres.execute("GRANT rds_iam TO granted_worker GRANTED BY granter")

    with pytest.raises(StillMember, match="granted_worker"):
        grant_worker(url, "granted_worker", password="the first")

    guarded_postgres.execute("REVOKE rds_iam FROM granted_worker GRANTED BY granter")


@pytest.mark.process
def test_the_password_does_not_reach_the_server(guarded_postgres: Postgres) -> None:
    url = guarded_postgres.create_database("logged")
    migrate(url)
    guarded_postgres.execute("ALTER DATABASE logged SET log_statement = 'all'")

    grant_worker(url, "logged_worker", password="only the client knows")

    ((data,),) = guarded_postgres.execute("SHOW data_directory")
    log = (Path(data).parent / "log").read_text()
    assert re.search(r"ROLE \W?logged_worker\W? .*SCRAM-SHA-256\$", log)
    assert "only the client knows" not in log


def test_a_secret_that_cannot_be_read_is_one_line(queues: Queues, sqs_server: SqsServer) -> None:
    settings = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": sqs_server.endpoint_url, "DATABASE_SECRET_ARN": "no-such-secret"}
    environment = worker_environment("postgresql://127.0.0.1:1/none", queues, settings=settings)

    status = subprocess.run(
        [Path(sys.executable).parent / "signup-sync", "db", "status"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert status.returncode == 2
    assert status.stderr.count("\n") == 1
    assert "ResourceNotFoundException" in status.stderr


@pytest.mark.process
def test_a_token_is_signed_for_the_host_and_the_user_of_the_url_and_needs_tls() -> None:
    url = "postgresql://signup_sync_worker@db.example.com:6432/app"
    script = f"from db.credentials import IamConninfo; print(IamConninfo({url!r})())"

    environment = aws_environment("http://127.0.0.1:1")
    conninfo = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout

    parameters = conninfo_to_dict(conninfo.strip())
    assert parameters["sslmode"] == "verify-full"
    assert str(parameters["password"]).startswith("db.example.com:6432/?Action=connect&DBUser=signup_sync_worker&")


def test_a_conninfo_may_be_a_function_that_is_asked_for_each_connection(database_url: str) -> None:
    asked: list[None] = []

    def conninfo() -> str:
        asked.append(None)
        return database_url

    with closing(open_database(conninfo)) as database:
        database.probe()
        database.probe()
        with database.transaction() as connection:
            connection.execute("SELECT 1")

    assert len(asked) >= 3


def open_database(conninfo: Conninfo) -> Database:
    database = Database(conninfo, max_connections=1, statement_timeout_ms=5000, lock_timeout_ms=5000)
    database.open()
    return database
