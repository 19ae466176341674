"""The worker's database role: it may do what the worker's statements do, and nothing else."""

import psycopg
from psycopg import sql

from db.credentials import Conninfo, resolved
from db.statements import statement
from signup_sync.postgres.statements import Connection


def grant_worker(database_url: Conninfo, role: str, *, password: str | None = None, iam: bool = False) -> bool:
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
        _execute(connection, "grant_worker_on_users", role)
        _execute(connection, "grant_worker_on_activities", role)
        _execute(connection, "grant_worker_on_worker_pause", role)
    return made


def _execute(connection: Connection, name: str, role: str, **literals: str) -> None:
    # Names and passwords cannot be parameters in such statements: they are quoted here.
    values = {name: sql.Literal(value) for name, value in literals.items()}
    connection.execute(sql.SQL(statement(name)).format(role=sql.Identifier(role), **values))


def _verifier(connection: Connection, role: str, password: str) -> str:
    return connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
