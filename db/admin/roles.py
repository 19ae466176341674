"""Roles of the database: each may do what its own statements do, and nothing else."""

import psycopg
from psycopg import sql

from db.credentials import Conninfo, resolved
from db.statements import statement
from signup_sync.postgres.statements import DEFAULT_SCHEMA, Connection


class NoSuchRole(Exception):
    """One line: a role is not there."""


class StillMember(Exception):
    """One line: the role goes on logging in by IAM, because another role has granted it that."""


def grant_worker(
    database_url: Conninfo,
    role: str,
    *,
    schema: str = DEFAULT_SCHEMA,
    password: str | None = None,
    iam: bool = False,
    owner: str | None = None,
) -> bool:
    """Make the role unless it is there, and grant it what the worker needs; return whether it was made.

    With `iam` it logs in by RDS' IAM authentication, and a password that it had before is gone. Without, a role that
    has logged in by IAM logs in with `password` from now on; any other role that is there keeps its own: it may be in
    the middle of a rotation. Without a `password` nothing changes about how it logs in.

    With an `owner`, as `db.migrations.migrate` has it, that role grants what is about the tables.

    All happens in one transaction. Raises `psycopg.Error`, also when the tables are not there yet, and `StillMember`.
    Raises `NoSuchRole` where the owner is not there.
    """
    with psycopg.connect(resolved(database_url)) as connection:
        made = _make(connection, role, password=password, iam=iam)
        _let_into(connection, role, schema)
        _become(connection, owner)
        for name in ("grant_worker_on_users", "grant_worker_on_activities", "grant_worker_on_worker_pause"):
            _execute(connection, name, role, schema)
    return made


def grant_reader(database_url: Conninfo, role: str, *, schema: str = DEFAULT_SCHEMA, owner: str | None = None) -> None:
    """Let a role that is there read the users, but for their e-mail addresses, and the activities.

    With an `owner`, as `db.migrations.migrate` has it, that role grants it.

    All happens in one transaction. Raises `NoSuchRole`, and `psycopg.Error`, also when the tables are not there yet.
    """
    with psycopg.connect(resolved(database_url)) as connection:
        if not _is_true(connection, "role_exists", role):
            raise NoSuchRole(f"there is no role {role}: make it first, with the login that the application has")
        _let_into(connection, role, schema)
        _become(connection, owner)
        for name in ("grant_reader_on_users", "grant_reader_on_activities"):
            _execute(connection, name, role, schema)


def grant_reconciler(
    database_url: Conninfo, role: str, *, schema: str = DEFAULT_SCHEMA, iam: bool = False, owner: str | None = None
) -> bool:
    """Make the role unless it is there, and let it read what reconciliation compares; return whether it was made.

    That are the columns of a profile, e-mail addresses among them, and who is here since when. With `iam` it logs in by
    RDS' IAM authentication, and a password that it had before is gone. Without, nothing changes about how it logs in.

    With an `owner`, as `db.migrations.migrate` has it, that role grants it.

    All happens in one transaction. Raises `NoSuchRole` where the owner is not there, and `psycopg.Error`, also when the
    tables are not there yet.
    """
    with psycopg.connect(resolved(database_url)) as connection:
        made = _make(connection, role, iam=iam)
        _let_into(connection, role, schema)
        _become(connection, owner)
        _execute(connection, "grant_reconciler_on_users", role, schema)
    return made


def _make(connection: Connection, role: str, *, password: str | None = None, iam: bool) -> bool:
    """As `grant_worker` says; return whether it was made."""
    made = not _is_true(connection, "role_exists", role)
    if made:
        _execute(connection, "create_role", role)
    by_iam = _is_true(connection, "is_iam_role", role)
    if iam:
        _execute(connection, "grant_rds_iam", role)
        if not made and not by_iam:
            _execute(connection, "clear_role_password", role)
    elif password is not None and (made or by_iam):
        if by_iam:
            _leave_iam(connection, role)
        _execute(connection, "set_role_password", role, verifier=_verifier(connection, role, password))
    return made


def _let_into(connection: Connection, role: str, schema: str) -> None:
    """A right that a role has already, as everybody on `public`, is not granted: its owner may be somebody else."""
    if not _is_true(connection, "may_use_schema", role, schema=schema):
        _execute(connection, "grant_usage_on_schema", role, schema)


def _become(connection: Connection, owner: str | None) -> None:
    if owner is None:
        return
    if not _is_true(connection, "role_exists", owner):
        raise NoSuchRole(f"there is no role {owner}, which DATABASE_OWNER names: run signup-sync db migrate with it")
    connection.execute(statement("set_role"), {"role": owner})


def _leave_iam(connection: Connection, role: str) -> None:
    _execute(connection, "revoke_rds_iam", role)
    # It takes away what was granted by the same role, and only warns where another one has (PostgreSQL documentation,
    # "REVOKE").
    if _is_true(connection, "is_iam_role", role):
        raise StillMember(f"another role than this one has made {role} a member of rds_iam: REVOKE rds_iam as that one")


def _is_true(connection: Connection, name: str, role: str, **parameters: str) -> bool:
    row = connection.execute(statement(name), {"role": role, **parameters}).fetchone()
    return bool(row and row[0])


def _execute(connection: Connection, name: str, role: str, schema: str = DEFAULT_SCHEMA, **literals: str) -> None:
    # Names and passwords cannot be parameters in such statements: they are quoted here.
    names = {"role": sql.Identifier(role), "schema": sql.Identifier(schema)}
    values = {name: sql.Literal(value) for name, value in literals.items()}
    connection.execute(sql.SQL(statement(name)).format(**names, **values))


def _verifier(connection: Connection, role: str, password: str) -> str:
    return connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
