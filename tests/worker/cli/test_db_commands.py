"""`signup-sync db` and `signup-sync feed`: the database's daily tools, as a developer runs them."""

import json
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db.admin.seed import seed
from db.connection import Connection
from db.pool import connect
from db.tables.deletions import Deletion, delete_users
from tests.support import command
from tests.support.application import OWN_SCHEMA
from tests.support.events import activity, sign_up
from tests.support.invoke import invoke, invoke_on_terminal
from tests.support.postgres import PROGRAMS, CreateRole, Postgres
from tests.support.tables import write
from tests.support.wait import wait_until
from worker.settings import DatabaseSettings, InvalidSettings

_TAKEN_OVER = {"connect", "dump-schema"}

Done = subprocess.CompletedProcess[str]


class Developer:
    """Somebody with a database's URL in their environment: that of development, and that of production."""

    def __init__(self, postgres: Postgres, name: str) -> None:
        self.name = name
        self.environment = command.command_environment(
            {
                "DATABASE_URL": postgres.url(name),
                "PROD_DATABASE_URL": f"{postgres.url(name)}?sslmode=disable",
                "PATH": os.pathsep.join((str(PROGRAMS), os.defpath)),
            }
        )
        self._postgres = postgres

    def run(self, *args: str, stdin: str = "", **settings: str) -> Done:
        """As a process if it gives that to another program."""
        environment = command.command_environment({**self.environment, **settings})
        if _TAKEN_OVER.intersection(args):
            return command.run(*args, environment=environment, stdin=stdin)
        return invoke(*args, environment=environment, stdin=stdin)

    def db(self, *args: str, stdin: str = "", **settings: str) -> Done:
        """It works."""
        done = self.run("db", *args, stdin=stdin, **settings)
        assert done.returncode == 0, done.stderr
        return done

    def refusal(self, *args: str, stdin: str = "", **settings: str) -> str:
        """The last line, which says why not; the question is before it in the same line."""
        done = self.run(*args, stdin=stdin, **settings)
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr.splitlines()[-1].rpartition("signup-sync: ")[2]

    @property
    def exists(self) -> bool:
        statement = f"SELECT count(*) FROM pg_database WHERE datname = '{self.name}'"  # noqa: S608 (the test's name)
        return self._postgres.execute(statement) == [(1,)]

    def counts(self) -> tuple[int, int]:
        with closing(connect(self.environment["DATABASE_URL"])) as connection:
            row = connection.execute("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM activities)")
            users, activities = row.fetchone() or (0, 0)
        return users, activities


@pytest.fixture
def developer(postgres: Postgres) -> Iterator[Developer]:
    """Whose database is not there yet."""
    name = f"dev-{uuid.uuid4().hex}"  # a name that has to be quoted
    yield Developer(postgres, name)
    postgres.drop_database(name)


@pytest.fixture
def ready(postgres: Postgres, migrated_template: str, developer: Developer) -> Developer:
    """Whose database is there, and migrated."""
    postgres.create_database(developer.name, template=migrated_template)
    return developer


def test_a_database_is_created_migrated_filled_and_dropped(developer: Developer) -> None:
    name = developer.name
    assert developer.db("create").stdout == f"created {name}\n"
    assert developer.db("create").stdout == f"{name} is there already\n"
    assert developer.db("migrate").stdout.startswith("applied 0001 ")
    assert developer.db("seed").stdout == "loaded 5 users and 12 activities\n"
    assert developer.db("seed").stdout == "loaded 0 users and 0 activities\n"
    assert developer.counts() == (5, 12)
    assert developer.db("drop", "--yes").stdout == f"dropped {name}\n"
    assert not developer.exists
    assert developer.db("drop").stdout == f"there is no database {name}\n"


def test_a_new_database_holds_unicode(developer: Developer, postgres: Postgres) -> None:
    developer.db("create")

    assert postgres.execute("SHOW server_encoding", database=developer.name) == [("UTF8",)]


def test_setup_makes_everything_from_nothing_and_anew(developer: Developer) -> None:
    first = developer.db("setup")
    with closing(connect(developer.environment["DATABASE_URL"])) as connection:
        connection.execute("DELETE FROM activities")
    again = developer.db("setup", stdin="y\n")

    created, migrated, *_, loaded = first.stdout.splitlines()
    assert (created, loaded) == (f"created {developer.name}", "loaded 5 users and 12 activities")
    assert migrated.startswith("applied 0001 ")
    assert again.stdout == f"dropped {developer.name}\n" + first.stdout
    assert developer.counts() == (5, 12)


def test_migrating_over_an_application_s_tables_is_one_line(developer: Developer, postgres: Postgres) -> None:
    developer.db("create")
    postgres.execute("CREATE TABLE users (id bigint)", database=developer.name)

    for args in (["db", "migrate"], ["db", "status"]):
        told = developer.refusal(*args)
        assert told.startswith("public.users is there already, and is not signup-sync's: set DATABASE_SCHEMA to ")
    assert developer.db("migrate", DATABASE_SCHEMA=OWN_SCHEMA).stdout.startswith("applied 0001 ")
    dump = developer.db("dump-schema", DATABASE_SCHEMA=OWN_SCHEMA).stdout
    assert 'CREATE TABLE "Sign-ups".users' in dump
    assert "public.users" not in dump
    assert developer.refusal("db", "migrate", DATABASE_SCHEMA="pg_own").startswith("DATABASE_SCHEMA should be ")


def test_a_role_for_the_reconciliation_is_made_once(ready: Developer, postgres: Postgres) -> None:
    name = f"reconciler_{uuid.uuid4().hex}"
    assert ready.db("grant-reconciler", "--role", name).stdout == f"made the role {name}\n"
    assert ready.db("grant-reconciler", "--role", name).stdout == f"updated the role {name}\n"
    told = ready.refusal("db", "grant-reconciler", "--role", name, DATABASE_OWNER="nobody")
    assert told == "there is no role nobody, which DATABASE_OWNER names: run signup-sync db migrate with it"
    with closing(connect(ready.environment["DATABASE_URL"])) as connection:
        connection.execute(f"DROP OWNED BY {name}".encode())
    postgres.execute(f"DROP ROLE {name}")


def test_without_citus_nothing_is_distributed(ready: Developer) -> None:
    told = ready.refusal("db", "distribute", "--yes")

    assert told.startswith("this database has no Citus: ")


def test_an_application_s_role_is_let_in_to_read(ready: Developer, role: CreateRole) -> None:
    name = str(conninfo_to_dict(role())["user"])
    assert ready.db("grant-reader", name).stdout == f"{name} may read the users and activities\n"
    assert ready.refusal("db", "grant-reader", "nobody").startswith("there is no role nobody: ")
    told = ready.refusal("db", "grant-reader", name, DATABASE_OWNER="nobody")
    assert told == "there is no role nobody, which DATABASE_OWNER names: run signup-sync db migrate with it"
    with closing(connect(ready.environment["DATABASE_URL"])) as connection:
        connection.execute(f"DROP OWNED BY {name}".encode())


def test_dropping_asks_first(ready: Developer) -> None:
    for args in (["db", "drop"], ["db", "setup"]):
        assert ready.refusal(*args, stdin="n\n") == "nothing was changed"
    assert ready.run("db", "drop").returncode == 1  # there is nobody to ask
    assert ready.exists


@pytest.mark.parametrize("args", [["drop"], ["drop", "--yes", "--force"], ["setup", "--yes", "--force"], ["seed"]])
def test_production_is_left_alone_unless_its_name_is_typed(ready: Developer, args: Sequence[str]) -> None:
    for answer in ("", "y\n", f"{ready.name}x\n"):
        told = ready.refusal("db", *args, "--env", "prod", stdin=answer)
        assert told == "that is not the database's name: nothing was changed"

    assert ready.counts() == (0, 0)


def test_production_can_be_set_up_by_who_types_its_name(ready: Developer) -> None:
    done = ready.db("setup", "--env", "prod", stdin=f"{ready.name}\n")

    assert "This is production" in done.stderr
    assert done.stdout.startswith(f"dropped {ready.name}\ncreated {ready.name}\n")
    assert ready.db("drop", "--env", "prod", stdin=f"{ready.name}\n").stdout == f"dropped {ready.name}\n"
    assert not ready.exists


def test_the_name_of_a_new_production_database_is_typed_too(developer: Developer) -> None:
    developer.refusal("db", "setup", "--env", "prod", stdin="y\n")

    assert not developer.exists


def test_a_database_that_is_in_use_is_dropped_by_force_only(ready: Developer) -> None:
    with closing(connect(ready.environment["DATABASE_URL"])) as connection:
        told = ready.refusal("db", "drop", "--yes")
        assert told == (f"somebody is connected to {ready.name}: see signup-sync db sessions, or end them with --force")
        assert ready.db("drop", "--yes", "--force").stdout == f"dropped {ready.name}\n"
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_database_of_another_machine_is_dropped_by_who_types_its_name(ready: Developer) -> None:
    # Linux connects to this address as to this machine, but it does not look like it.
    url = ready.environment["DATABASE_URL"].replace("127.0.0.1", "0.0.0.0")  # noqa: S104 (nothing listens)

    told = ready.refusal("db", "drop", "--yes", DATABASE_URL=url, stdin="y\n")
    assert told == "that is not the database's name: nothing was changed"

    done = ready.db("drop", DATABASE_URL=url, stdin=f"{ready.name}\n")
    assert done.stderr.startswith("0.0.0.0 is another machine. ")
    assert done.stdout == f"dropped {ready.name}\n"


def test_a_url_without_a_database_is_refused_by_its_setting(developer: Developer) -> None:
    told = developer.refusal("db", "drop", DATABASE_URL="postgresql://127.0.0.1")
    assert told == "DATABASE_URL names no database: it should end with /NAME"
    told = developer.refusal("db", "create", "--env", "prod", PROD_DATABASE_URL="postgresql://127.0.0.1")
    assert told == "PROD_DATABASE_URL names no database: it should end with /NAME"


def test_sample_data_needs_the_tables(developer: Developer) -> None:
    developer.db("create")

    for args in (["db", "seed"], ["feed"]):
        assert developer.refusal(*args).endswith("; run signup-sync db migrate")


def test_production_has_settings_of_its_own(ready: Developer) -> None:
    assert ready.refusal("db", "status", "--env", "prod", PROD_DATABASE_URL="") == "PROD_DATABASE_URL is not set"
    assert ready.refusal("db", "status", DATABASE_URL="") == "DATABASE_URL is not set"
    assert ready.db("status", "--env", "prod", DATABASE_URL="").stdout.startswith("applied 0001 ")
    told = ready.refusal("db", "status", "--env", "prod", PROD_DATABASE_SECRET_ARN="x", PROD_DATABASE_IAM_AUTH="1")
    assert told == "PROD_DATABASE_SECRET_ARN and PROD_DATABASE_IAM_AUTH exclude each other"


def test_a_token_of_iam_is_for_one_host(ready: Developer) -> None:
    told = ready.refusal("db", "status", DATABASE_URL="postgresql://user@a:5432,b:5433/app", DATABASE_IAM_AUTH="1")
    assert told == "DATABASE_URL should have one host with DATABASE_IAM_AUTH: a token is for one"


def test_productions_server_must_prove_its_name(ready: Developer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = ready.environment["DATABASE_URL"]
    assert "server does not support SSL" in ready.refusal("db", "status", "--env", "prod", PROD_DATABASE_URL=url)

    monkeypatch.setenv("PROD_DATABASE_URL", "host=db sslmode=require")
    monkeypatch.setenv("DATABASE_URL", "host=db")
    assert DatabaseSettings.of("prod").conninfo == "sslmode=require host=db"
    assert DatabaseSettings.of("dev").conninfo == "host=db"
    monkeypatch.setenv("PROD_DATABASE_URL", "host=db")
    assert DatabaseSettings.of("prod").conninfo == "sslmode=verify-full host=db"
    monkeypatch.delenv("PROD_DATABASE_URL")
    with pytest.raises(InvalidSettings, match=r"^PROD_DATABASE_URL is not set$"):
        DatabaseSettings.of("prod")


def test_psql_gets_the_connection_and_its_exit_status_is_ours(ready: Developer) -> None:
    select = "SELECT current_database(), current_setting('application_name')"
    url = f"{ready.environment['DATABASE_URL']}?application_name=psql-of-ada"

    done = ready.db("connect", "--", "--csv", "-tc", select, DATABASE_URL=url)

    assert done.stdout == f"{ready.name},psql-of-ada\n"
    assert ready.run("db", "connect", "--", "-f", "/nowhere").returncode == 1


@pytest.fixture
def echo(tmp_path: Path) -> str:
    """A PATH on which `psql` prints its arguments and what it was given of libpq's settings."""
    program = tmp_path / "psql"
    program.write_text('#!/bin/sh\necho "$# arguments: $*"\nenv | grep ^PG | sort\n')
    program.chmod(0o755)
    return os.pathsep.join((str(tmp_path), os.defpath))


def test_the_password_goes_to_psql_and_is_not_on_its_command_line(developer: Developer, echo: str) -> None:
    url = "postgresql://ada:hunter2@db.example.com:6432/app?sslrootcert=/ca.pem&keepalives_idle=9"

    done = developer.db("connect", "--env", "prod", "--", "-c", "x", PROD_DATABASE_URL=url, PATH=echo)

    assert done.stdout.splitlines() == [
        "2 arguments: -c x",
        "PGDATABASE=app",
        "PGHOST=db.example.com",
        "PGPASSWORD=hunter2",
        "PGPORT=6432",
        "PGSSLMODE=verify-full",
        "PGSSLROOTCERT=/ca.pem",
        "PGUSER=ada",
    ]


def test_in_development_tls_is_as_the_url_says(developer: Developer, echo: str) -> None:
    url = "postgresql://db.example.com/app?sslmode=require"
    assert "PGSSLMODE=require\n" in developer.db("connect", DATABASE_URL=url, PATH=echo).stdout


def test_a_program_that_is_not_installed_is_named(developer: Developer, tmp_path: Path) -> None:
    told = developer.refusal("db", "connect", PATH=str(tmp_path))

    assert told.startswith("psql is not installed: install PostgreSQL's client programs")


def test_the_schema_is_dumped_without_rows_and_can_be_loaded(ready: Developer, postgres: Postgres) -> None:
    ready.db("seed")

    dump = ready.db("dump-schema", "--", "--restrict-key=same").stdout

    assert "CREATE TABLE public.activities" in dump
    assert "Ada" not in dump
    assert "OWNER TO" not in dump
    copy = Developer(postgres, f"copy-{ready.name}")
    try:
        copy.db("create")
        copy.db("connect", "--", "-q", "-v", "ON_ERROR_STOP=1", stdin=dump)
        assert copy.db("dump-schema", "--", "--restrict-key=same").stdout == dump
        assert copy.counts() == (0, 0)
    finally:
        postgres.drop_database(copy.name)


def test_sessions_are_listed_with_who_waits_for_whom(ready: Developer) -> None:
    url = f"{ready.environment['DATABASE_URL']}?application_name=report"
    with closing(psycopg.connect(url)) as first, closing(psycopg.connect(url)) as second:
        first.execute("LOCK TABLE users")
        waiting = threading.Thread(target=second.execute, args=("SELECT FROM users",))
        waiting.start()
        try:
            wait_until(lambda: "Lock relation" in ready.db("sessions").stdout, 20, "nobody waits")
            listed = ready.db("sessions").stdout.splitlines()
            records = [json.loads(line) for line in ready.db("sessions", "--json").stdout.splitlines()]
            status, seen, _ = invoke_on_terminal("db", "sessions", environment=ready.environment)
        finally:
            first.rollback()
            waiting.join()
        pids = [first.info.backend_pid, second.info.backend_pid]
    held, waits = (line.split("\t") for line in listed)
    assert [held[0], waits[0]] == [str(pid) for pid in pids]
    assert (held[1], held[3], held[5:]) == ("postgres", "-", ["report", "127.0.0.1"])
    assert held[2].startswith("idle in transaction ")
    assert waits[3] == f"Lock relation ({pids[0]})"
    assert [record["blocked_by"] for record in records] == [[], [pids[0]]]
    assert status == 0
    assert ["WAITING FOR" in seen, f"Lock relation ({pids[0]})" in seen] == [True, True]


def test_a_session_is_ended_when_that_was_confirmed(ready: Developer) -> None:
    assert ready.db("sessions").stderr == "nobody else is connected\n"
    with closing(psycopg.connect(ready.environment["DATABASE_URL"])) as other:
        pid = str(other.info.backend_pid)
        refused = ready.run("db", "sessions", "--end", pid, stdin="n\n")
        assert refused.returncode == 2
        assert refused.stderr.endswith("signup-sync: nothing was ended\n")
        assert other.execute("SELECT 1").fetchone() == (1,)

        done = ready.db("sessions", "--end", pid, stdin="y\n")

        assert done.stderr.endswith(f"ended {pid}\n")
        with pytest.raises(psycopg.errors.AdminShutdown):
            other.execute("SELECT 1")
    assert ready.refusal("db", "sessions", "--end", pid, "--yes") == f"this database has no session {pid}"


def test_the_feed_is_a_table_on_a_terminal(ready: Developer) -> None:
    ready.db("seed")

    status, seen, _ = command.run_on_terminal("feed", environment={**ready.environment, "NO_COLOR": "1"})

    assert status == 0
    heading, first, *others = seen.replace("\r\n", "\n").splitlines()
    assert heading.split() == ["TIME", "HANDLE", "NAME", "REPLIES", "MESSAGE"]
    assert "Alan Turing" in first
    assert len(others) == 10
    assert "\x1b" not in seen


def test_the_feed_is_json_for_programs_page_by_page(ready: Developer) -> None:
    ready.db("seed")
    everything = ready.run("feed", "--json")

    pages = []
    before: list[str] = []
    while (done := ready.run("feed", "--json", "--limit", "4", *before)).stdout:
        pages += [json.loads(line) for line in done.stdout.splitlines()]
        if not done.stderr:
            break
        before = done.stderr.removeprefix("older: ").split()

    assert everything.stderr == ""
    assert pages == [json.loads(line) for line in everything.stdout.splitlines()]
    assert len(pages) == 11
    assert "Tea in the hut" not in everything.stdout  # it has expired


def test_a_message_cannot_drive_the_terminal(ready: Developer) -> None:
    with closing(connect(ready.environment["DATABASE_URL"])) as connection:
        seed(connection)
        connection.execute("UPDATE activities SET message = %s", ("a\x1b[31m\nb",))

    shown = ready.run("feed").stdout

    assert "a\\u001b[31m b" in shown
    assert "\x1b" not in shown


def test_what_somebody_who_is_deleted_has_left_has_no_name(ready: Developer) -> None:
    url = ready.environment["DATABASE_URL"]
    write(url, sign_up("ada"), activity("ada", "notes on the engine"))
    with Connection.connect(url) as connection:
        delete_users(connection, [Deletion("ada", datetime.now(UTC), erases=False)])

    fields = ready.run("feed").stdout.rstrip("\n").split("\t")

    assert fields[1:] == ["", "deleted user", "0", "notes on the engine"]


def test_an_empty_feed_and_a_position_that_is_none_are_said(ready: Developer) -> None:
    done = ready.run("feed")
    assert (done.stdout, done.stderr) == ("", "nothing was posted\n")

    wrong = ready.run("feed", "--before", "yesterday")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1].startswith(
        "Error: Invalid value for '--before': 'yesterday' is not a position"
    )
