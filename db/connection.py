"""Connection that knows in which schema our tables are."""

import psycopg
from psycopg.rows import TupleRow

from signup_sync.postgres.statements import DEFAULT_SCHEMA


class Connection(psycopg.Connection[TupleRow]):
    """A connection of psycopg, with the schema that the statements of `db.tables` name.

    The name is in the statements and not in the session's search_path, which a pooler in transaction mode would not
    keep, or would give to others.
    """

    schema: str = DEFAULT_SCHEMA
