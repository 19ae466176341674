"""Owner role: who has our tables, where it is another one than who logs in.

Who logs in may do more than a migration needs. RDS' master user makes roles and databases, and may become what it has
made (Amazon RDS User Guide, "Understanding the rds_superuser role"). So it makes the owner, hands over what there is
already, and is the owner for the rest of the transaction.
"""

from psycopg import sql
from sqlalchemy import Connection

from db.migrations.ownership import FUNCTIONS, TABLES
from db.statements import statement


def become_owner(connection: Connection, schema: str, owner: str) -> None:
    """Go on as the owner, which is made unless it is there, until the transaction ends.

    Our tables and functions in the schema become its own. A schema that is there stays whose it is, since other things
    may be in it, and the owner may create in it. Who logs in becomes a member of the owner, and so may do all that it
    may. Raises SQLAlchemy's `DBAPIError`, of `InsufficientPrivilege` where who logs in may not do that.
    """
    if not _is_true(connection, "role_exists", role=owner):
        _run(connection, "create_owner_role", role=owner)
    if not _is_true(connection, "may_become_role", role=owner):
        _run(connection, "grant_role_to_login", role=owner)
    if not _is_true(connection, "schema_exists", schema=schema):
        _run(connection, "create_schema_of_role", schema=schema, role=owner)
    elif not _is_true(connection, "may_create_in_schema", schema=schema, role=owner):
        _run(connection, "grant_create_on_schema", schema=schema, role=owner)
    _hand_over(connection, schema, owner)
    connection.exec_driver_sql(statement("set_role"), {"role": owner})


def _hand_over(connection: Connection, schema: str, owner: str) -> None:
    parameters = {"schema": schema, "role": owner, "tables": TABLES, "functions": FUNCTIONS}
    for change, _ in connection.exec_driver_sql(statement("find_changes_of_owner"), parameters).all():
        _execute(connection, change)


def _is_true(connection: Connection, name: str, **parameters: str) -> bool:
    return bool(connection.exec_driver_sql(statement(name), parameters).scalar())


def _run(connection: Connection, name: str, **names: str) -> None:
    # Names cannot be parameters in such statements: they are quoted here.
    identifiers = {key: sql.Identifier(value) for key, value in names.items()}
    _execute(connection, sql.SQL(statement(name)).format(**identifiers).as_string(None))


def _execute(connection: Connection, text: str) -> None:
    connection.exec_driver_sql(text, execution_options={"no_parameters": True})
