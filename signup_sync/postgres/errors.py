"""What an error of the database says about a message: that it is not its fault, that it may pass, or that it is.

The codes are those of the PostgreSQL 18 documentation, Appendix A, "PostgreSQL Error Codes" (Table A.1). A code is
looked up whole, then by its class (its first two characters).
"""

from enum import Enum

import psycopg


class Fault(Enum):
    """Whose fault an error is, and so what becomes of the messages in hand."""

    DATABASE = "database"
    """No message can be written now, whatever it says: wait until the database can be written to again."""

    PASSING = "passing"
    """This attempt met others at work; the same statement may succeed the next time."""

    MESSAGE = "message"
    """The database will always refuse this row."""


_BY_CLASS = {
    "08": Fault.DATABASE,  # Connection Exception
    "0A": Fault.PASSING,  # Feature Not Supported: "cached plan must not change result type", during a migration
    "21": Fault.MESSAGE,  # Cardinality Violation
    "22": Fault.MESSAGE,  # Data Exception
    "23": Fault.MESSAGE,  # Integrity Constraint Violation
    "25": Fault.DATABASE,  # Invalid Transaction State, of which read_only_sql_transaction is the one that happens
    "26": Fault.DATABASE,  # Invalid SQL Statement Name: a pooler in between lost a prepared statement
    "28": Fault.DATABASE,  # Invalid Authorization Specification: a password was rotated
    "3D": Fault.DATABASE,  # Invalid Catalog Name: the database is not there (yet)
    "3F": Fault.DATABASE,  # Invalid Schema Name
    "40": Fault.PASSING,  # Transaction Rollback: deadlock_detected, serialization_failure
    "42": Fault.DATABASE,  # Syntax Error or Access Rule Violation: not migrated, or a privilege is missing
    "44": Fault.MESSAGE,  # WITH CHECK OPTION Violation
    "53": Fault.DATABASE,  # Insufficient Resources: disk_full, out_of_memory, too_many_connections
    "54": Fault.MESSAGE,  # Program Limit Exceeded: an index row that is too large
    "55": Fault.PASSING,  # Object Not In Prerequisite State: lock_not_available
    "57": Fault.DATABASE,  # Operator Intervention: admin_shutdown, crash_shutdown, cannot_connect_now
    "58": Fault.DATABASE,  # System Error: io_error
    "F0": Fault.DATABASE,  # Configuration File Error
    "P0": Fault.MESSAGE,  # PL/pgSQL Error: raise_exception in a trigger of the operators' own
}

_BY_CODE = {
    "22P05": Fault.MESSAGE,  # untranslatable_character
    "23503": Fault.PASSING,  # foreign_key_violation: author or parent was deleted since we looked
    "25P04": Fault.PASSING,  # transaction_timeout
    "57014": Fault.PASSING,  # query_canceled: statement_timeout
}


_TOO_SLOW = ("55P03", "57014")  # lock_not_available, query_canceled


def fault_of(error: psycopg.Error) -> Fault:
    """Say whose fault an error is.

    Without a code it comes from the client's side: a value that psycopg could not even send is the message's fault,
    anything else is a connection that broke, timed out or was never made. A code that is not in the table may pass:
    then the attempts are counted, and nothing is lost either way.
    """
    if error.sqlstate is None:
        return Fault.MESSAGE if isinstance(error, psycopg.DataError) else Fault.DATABASE
    return _BY_CODE.get(error.sqlstate) or _BY_CLASS.get(error.sqlstate[:2], Fault.PASSING)


def is_too_slow(error: psycopg.Error) -> bool:
    """Whether a statement was given up for its time: somebody holds a lock, or the statement, or all of it, is slow."""
    return error.sqlstate in _TOO_SLOW


def describe(error: psycopg.Error) -> str:
    """One line that names an error and holds no value of the row (PostgreSQL puts those into DETAIL and CONTEXT).

    The primary message itself may quote a value where the value could not be read (class 22), and anything at all
    where a trigger wrote it (P0): then only the code and its name are given.
    """
    name = type(error).__name__
    if error.sqlstate is None:
        return f"{name}: {_first_line(error)}" if fault_of(error) is Fault.DATABASE else name
    if fault_of(error) is Fault.MESSAGE:
        constraint = error.diag.constraint_name or error.diag.column_name
        return f"{error.sqlstate} {name}" + (f" ({constraint})" if constraint else "")
    return f"{error.sqlstate} {name}: {_first_line(error.diag.message_primary or error)}"


def _first_line(message: psycopg.Error | str) -> str:
    lines = str(message).strip().splitlines()
    return lines[0] if lines else "no message"
