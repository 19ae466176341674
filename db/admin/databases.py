"""The databases of a server: made and dropped over a connection to another one of them."""

from ipaddress import ip_address

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from db.connection import Connection
from db.credentials import Conninfo, resolved
from db.pool import connect
from db.statements import statement

# Which the tools of Postgres connect to for that (PostgreSQL documentation, "createdb", --maintenance-db).
MAINTENANCE_DATABASE = "postgres"


def name_in(url: Conninfo) -> str | None:
    """The database that a URL names, if it does."""
    name = conninfo_to_dict(resolved(url)).get("dbname")
    return str(name) if name else None


def connect_to_server(url: Conninfo) -> Connection:
    """Connect as `db.pool.connect` does, but to the server's maintenance database. Raises `psycopg.Error`."""
    return connect(make_conninfo(resolved(url), dbname=MAINTENANCE_DATABASE))


def is_local(connection: Connection) -> bool:
    """Whether the server is on this machine."""
    address = connection.info.hostaddr  # empty for a Unix socket
    return not address or ip_address(address).is_loopback


def exists(connection: Connection, name: str) -> bool:
    """Whether the server has a database of that name. Raises `psycopg.Error`."""
    row = connection.execute(statement("database_exists"), {"name": name}).fetchone()
    return bool(row and row[0])


def create(connection: Connection, name: str) -> None:
    """Make an empty database. Raises `psycopg.Error`, `DuplicateDatabase` if it is there."""
    _execute(connection, "create_database", name)


def drop(connection: Connection, name: str, *, force: bool = False) -> None:
    """Drop a database, with `force` ending the sessions that it has.

    Raises `psycopg.Error`, `ObjectInUse` if it has sessions, `InvalidCatalogName` if it is not there.
    """
    _execute(connection, "drop_database_in_use" if force else "drop_database", name)


def _execute(connection: Connection, name: str, database: str) -> None:
    # A name cannot be a parameter in such statements: it is quoted here.
    connection.execute(sql.SQL(statement(name)).format(database=sql.Identifier(database)))
