"""The worker's database role: it may do what the worker's statements do, and nothing else."""

import psycopg
from psycopg import sql

from db.credentials import Conninfo, resolved
from db.statements import statement
from signup_sync.postgres.statements import DEFAULT_SCHEMA, Connection


def grant_worker(
    database_url: Conninfo,
    role: str,
    *,
    schema: str = DEFAULT_SCHEMA,
    password: str | None = None,
    iam: bool = False,
) -> bool:
    """Make the role unless it is there, and grant it what the worker needs; return whether it was made.

    A role that is there keeps its password: it may be in the middle of a rotation. With `iam` it logs in by RDS' IAM
    authentication. All happens in one transaction. Raises `psycopg.Error`, also when the tables are not there yet.
    """
    with psycopg.connect(resolved(database_url)) as connection:
        row = connection.execute(statement("role_exists"), {"role": role}).fetchone()
        made = row is None or not row[0]
        if made:
            _execute(connection, "create_role", role)
        if made and password is not None:
            _execute(connection, "set_role_password", role, verifier=_verifier(connection, role, password))
        if iam:
            _execute(connection, "grant_rds_iam", role)
        _let_into(connection, role, schema)
        for name in ("grant_worker_on_users", "grant_worker_on_activities", "grant_worker_on_worker_pause"):
            _execute(connection, name, role, schema)
    return made


def _let_into(connection: Connection, role: str, schema: str) -> None:
    """A right that a role has already, as everybody on `public`, is not granted: its owner may be somebody else."""
    row = connection.execute(statement("may_use_schema"), {"role": role, "schema": schema}).fetchone()
    if row is None or not row[0]:
        _execute(connection, "grant_usage_on_schema", role, schema)


def _execute(connection: Connection, name: str, role: str, schema: str = DEFAULT_SCHEMA, **literals: str) -> None:
    # Names and passwords cannot be parameters in such statements: they are quoted here.
    names = {"role": sql.Identifier(role), "schema": sql.Identifier(schema)}
    values = {name: sql.Literal(value) for name, value in literals.items()}
    connection.execute(sql.SQL(statement(name)).format(**names, **values))


def _verifier(connection: Connection, role: str, password: str) -> str:
    return connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
