"""Tables of a role of their own, where who logs in is as RDS' master user is.

Amazon RDS User Guide, "Understanding the rds_superuser role": LOGIN NOSUPERUSER INHERIT CREATEDB CREATEROLE, and the
database is its own.
"""

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import psycopg
import pytest

from db.admin.roles import NoSuchRole, grant_reader, grant_worker
from db.migrations import MigrationRefused, migrate
from db.pool import connect
from db.tables.users import insert_users
from signup_sync.postgres.feed import user_with_activities
from tests.db.admin.test_roles import ADA, may
from tests.support.application import OWN_SCHEMA, TABLES
from tests.support.postgres import Postgres


@dataclass(frozen=True)
class Master:
    """A master user, a database that is its own, and the names of other roles of this test."""

    login: str
    url: str
    superuser_url: str
    owner: str
    worker: str
    reader: str

    def owners(self, schema: str) -> set[str]:
        """Of all relations, functions and types in a schema."""
        rows = """
            WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname = %s)
            SELECT pg_get_userbyid(relowner)::text FROM ours INNER JOIN pg_class ON relnamespace = ours.oid
            UNION
            SELECT pg_get_userbyid(proowner)::text FROM ours INNER JOIN pg_proc ON pronamespace = ours.oid
            UNION
            SELECT pg_get_userbyid(typowner)::text FROM ours INNER JOIN pg_type ON typnamespace = ours.oid
        """
        with psycopg.connect(self.url) as connection:
            return {row[0] for row in connection.execute(rows, (schema,))}

    def of(self, role: str) -> str:
        return self.superuser_url.replace("postgres@", f"{role}@")

    def is_role(self, name: str) -> bool:
        with psycopg.connect(self.url) as connection:
            return bool(connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone())


@pytest.fixture
def master(postgres: Postgres) -> Iterator[Master]:
    suffix = uuid.uuid4().hex
    database, name = f"mastered_{suffix}", f"master_{suffix}"
    url = postgres.create_database(database)
    postgres.execute(f"CREATE ROLE {name} LOGIN CREATEDB CREATEROLE")
    postgres.execute(f"ALTER DATABASE {database} OWNER TO {name}")
    roles = f"owner_{suffix}", f"worker_{suffix}", f"reader_{suffix}"
    yield Master(name, url.replace("postgres@", f"{name}@"), url, *roles)
    postgres.drop_database(database)
    for role in (*roles, name):
        postgres.execute(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture(params=["public", OWN_SCHEMA])
def schema(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_all_that_a_first_migration_makes_is_the_owners(master: Master, schema: str) -> None:
    assert migrate(master.url, schema, owner=master.owner)
    assert migrate(master.url, schema, owner=master.owner) == []

    assert master.owners(schema) == {master.owner}


def test_what_the_master_has_made_before_is_handed_over_and_everybody_goes_on(master: Master, schema: str) -> None:
    migrate(master.url, schema)
    grant_worker(master.url, master.worker, schema=schema)
    assert master.owner not in master.owners(schema)

    assert migrate(master.url, schema, owner=master.owner) == []

    assert master.owners(schema) == {master.owner}
    with closing(connect(master.of(master.worker), schema)) as worker:
        assert insert_users(worker, [ADA]).inserted == {"1"}
        worker.commit()
    with closing(connect(master.url, schema)) as itself:
        assert user_with_activities(itself, "ada", schema=schema) is not None
    assert migrate(master.url, schema) == []  # as the version before does, which knows of no owner
    assert not grant_worker(master.url, master.worker, schema=schema)


def test_roles_are_granted_what_is_about_the_tables_by_the_owner(master: Master, schema: str) -> None:
    migrate(master.url, schema, owner=master.owner)
    with psycopg.connect(master.url) as connection:
        connection.execute(f"CREATE ROLE {master.reader} LOGIN".encode())

    assert grant_worker(master.url, master.worker, schema=schema, owner=master.owner)
    grant_reader(master.url, master.reader, schema=schema, owner=master.owner)

    assert may(master.of(master.worker), f'SELECT FROM "{schema}".worker_pause')
    assert not may(master.of(master.worker), f'DROP TABLE "{schema}".worker_pause')
    assert may(master.of(master.reader), f'SELECT handle FROM "{schema}".users')  # noqa: S608 (a name from above)
    with psycopg.connect(master.url) as connection:
        acl = "SELECT DISTINCT (aclexplode(relacl)).grantor::regrole::text FROM pg_class WHERE relacl IS NOT NULL"
        where = " AND relnamespace = to_regnamespace(quote_ident(%s))"
        assert connection.execute((acl + where).encode(), (schema,)).fetchall() == [(master.owner,)]


def test_iam_is_granted_by_the_master_whose_role_it_is(master: Master) -> None:
    migrate(master.url, owner=master.owner)
    with psycopg.connect(master.superuser_url) as superuser:
        superuser.execute(f"CREATE ROLE rds_iam; GRANT rds_iam TO {master.login} WITH ADMIN OPTION".encode())
    try:
        assert grant_worker(master.url, master.worker, iam=True, owner=master.owner)
        with psycopg.connect(master.url) as connection:
            row = connection.execute("SELECT pg_has_role(%s, 'rds_iam', 'MEMBER')", (master.worker,)).fetchone()
            assert row == (True,)
    finally:
        with psycopg.connect(master.superuser_url) as superuser:
            superuser.execute(f"REVOKE rds_iam FROM {master.login} CASCADE; DROP ROLE rds_iam".encode())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "CREATE SCHEMA other",
        "SELECT FROM public.users",
        "DROP TABLE public.users",
        "GRANT pg_read_all_data TO {worker}",
    ],
)
def test_the_owner_may_not_do_what_the_master_may(master: Master, statement: str) -> None:
    with psycopg.connect(master.url) as connection:
        connection.execute(TABLES.encode())
    migrate(master.url, OWN_SCHEMA, owner=master.owner)
    grant_worker(master.url, master.worker, schema=OWN_SCHEMA, owner=master.owner)

    with psycopg.connect(master.url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {master.owner}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.format(worker=master.worker).encode())


def test_what_is_an_applications_stays_its_own_and_nothing_is_changed(master: Master) -> None:
    with psycopg.connect(master.url) as connection:
        connection.execute(TABLES.encode())
    before = master.owners("public")

    with pytest.raises(MigrationRefused, match=r"^public\.users is there already"):
        migrate(master.url, owner=master.owner)

    assert master.owners("public") == before
    assert not master.is_role(master.owner)


def test_who_may_make_no_role_is_told_in_one_line(master: Master) -> None:
    with psycopg.connect(master.superuser_url) as superuser:
        superuser.execute(f"ALTER ROLE {master.login} NOCREATEROLE".encode())

    with pytest.raises(MigrationRefused) as refused:
        migrate(master.url, owner=master.owner)

    told = str(refused.value)
    assert "permission denied to create role" in told
    assert f"; with DATABASE_OWNER={master.owner} log in as who may make that role (CREATEROLE) or become it, " in told


def test_an_owner_that_somebody_else_has_made_and_granted_is_taken(master: Master) -> None:
    with psycopg.connect(master.superuser_url) as superuser:
        superuser.execute(f"CREATE ROLE {master.owner}; GRANT {master.owner} TO {master.login}".encode())
        superuser.execute(f"ALTER ROLE {master.login} NOCREATEROLE".encode())

    assert migrate(master.url, owner=master.owner)
    assert master.owners("public") == {master.owner}


def test_an_owner_that_is_not_there_yet_grants_nothing(master: Master) -> None:
    migrate(master.url)

    with pytest.raises(NoSuchRole, match=r"^there is no role owner_"):
        grant_worker(master.url, master.worker, owner=master.owner)
    assert not master.is_role(master.worker)
