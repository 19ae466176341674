"""Rehearsal of a write: rows that nobody ever sees, to find out whether the tables take any."""

from datetime import UTC, datetime
from uuid import uuid4

import psycopg

from db.connection import Connection
from db.tables.activities import NewActivity, insert_activities
from db.tables.users import NewUser, insert_users
from signup_sync.postgres.errors import Fault, fault_of


def rehearse(connection: Connection) -> None:
    """Insert a user, an activity and a reply, as for events; the caller rolls them back.

    Raises `psycopg.Error` if the database cannot do it, or not in time. What it has against these rows in particular
    (a constraint of the operators' own) says nothing about others, and is not raised.
    """
    now = datetime.now(UTC)
    name = f"rehearsal-{uuid4()}"  # nobody else's, so that nobody waits for us or we for them
    post, reply = uuid4(), uuid4()
    try:
        insert_users(connection, [NewUser(name, "Rehearsal", name, None, now)])
        insert_activities(
            connection,
            [
                NewActivity(post, name, "Rehearsal", None, None, now),
                NewActivity(reply, name, "Rehearsal", post, None, now),
            ],
        )
    except psycopg.Error as error:
        if fault_of(error) is not Fault.MESSAGE:
            raise
