"""Connection that knows in which schema our tables are, and whether they may be spread over nodes."""

import psycopg
from psycopg.rows import TupleRow

from signup_sync.postgres.statements import DEFAULT_SCHEMA


class Connection(psycopg.Connection[TupleRow]):
    """A connection of psycopg, with the schema that the statements of `db.tables` name, and what chooses between two
    statements where one does not serve both kinds of database: whether it has Citus.

    The name is in the statements and not in the session's search_path, which a pooler in transaction mode would not
    keep, or would give to others.
    """

    schema: str = DEFAULT_SCHEMA
    has_citus: bool = False
