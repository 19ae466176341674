"""Errors of a real Postgres, as they are met; only what cannot be brought about is made by hand."""

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from signup_sync.postgres.errors import Fault, describe, fault_of
from signup_sync.postgres.statements import Connection
from tests.support.ports import free_port
from tests.support.postgres import CreateRole, Postgres

PRIVATE = "ada@example.com"  # what must not be in any description

INSERT_USER = "INSERT INTO users (cognito_user_id, display_name, handle) VALUES (%s, %s, %s)"
INSERT_ACTIVITY = """
INSERT INTO activities (uuid, user_uuid, message) VALUES (gen_random_uuid(), gen_random_uuid(), %s)
"""


def caught(run: Callable[[], object]) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as error:
        run()
    return error.value


def caught_by(connection: Connection, statement: str, *parameters: object) -> psycopg.Error:
    return caught(lambda: connection.execute(statement.encode(), parameters or None))


def check(error: psycopg.Error, fault: Fault, description: str) -> None:
    assert fault_of(error) is fault
    assert describe(error) == description


def test_a_duplicate_is_the_message_s_fault(connection: Connection) -> None:
    connection.execute(INSERT_USER, (PRIVATE, "Ada", PRIVATE))

    error = caught_by(connection, INSERT_USER, "2", "Ada", PRIVATE.upper())

    assert PRIVATE in str(error)
    check(error, Fault.MESSAGE, "23505 UniqueViolation (users_lower_handle_key)")


def test_a_missing_value_is_the_message_s_fault(connection: Connection) -> None:
    error = caught_by(connection, INSERT_USER, PRIVATE, "Ada", None)

    assert PRIVATE in str(error)
    check(error, Fault.MESSAGE, "23514 CheckViolation (users_named_unless_deleted)")


def test_a_value_that_cannot_be_read_is_the_message_s_fault(connection: Connection) -> None:
    error = caught_by(connection, "SELECT %s::text::uuid", PRIVATE)

    assert PRIVATE in str(error)
    check(error, Fault.MESSAGE, "22P02 InvalidTextRepresentation")


def test_a_date_out_of_range_is_the_message_s_fault(connection: Connection) -> None:
    error = caught_by(connection, "SELECT %s::text::timestamptz", "294277-01-01")

    check(error, Fault.MESSAGE, "22008 DatetimeFieldOverflow")


def test_a_character_that_text_cannot_hold_is_the_message_s_fault(connection: Connection) -> None:
    error = caught_by(connection, "SELECT %s::text::jsonb", f'"{PRIVATE}\\u0000"')

    check(error, Fault.MESSAGE, "22P05 UntranslatableCharacter")


def test_a_nul_that_does_not_even_leave_is_the_message_s_fault(connection: Connection) -> None:
    error = caught_by(connection, INSERT_USER, "1", f"{PRIVATE}\x00", "ada")

    assert error.sqlstate is None
    check(error, Fault.MESSAGE, "DataError")


def test_a_value_too_large_for_its_index_is_the_message_s_fault(connection: Connection) -> None:
    error = caught_by(connection, INSERT_USER, secrets.token_hex(10_000), "Ada", "ada")

    check(error, Fault.MESSAGE, "54000 ProgramLimitExceeded")


def test_what_a_trigger_of_somebody_s_own_refuses_is_the_message_s_fault(connection: Connection) -> None:
    connection.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''% is not welcome'', NEW.handle; END';
        CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()
        """
    )

    error = caught_by(connection, INSERT_USER, "1", "Ada", PRIVATE)

    assert PRIVATE in str(error)
    check(error, Fault.MESSAGE, "P0001 RaiseException")


def test_a_reference_to_a_row_that_was_deleted_may_pass(connection: Connection) -> None:
    error = caught_by(connection, INSERT_ACTIVITY, PRIVATE)

    check(
        error,
        Fault.PASSING,
        '23503 ForeignKeyViolation: insert or update on table "activities" violates foreign key constraint '
        '"activities_user_uuid_fkey"',
    )


def test_a_deadlock_may_pass(database_url: str) -> None:
    errors: list[psycopg.Error] = []
    both_hold_one = threading.Barrier(2)

    def lock(first: str, second: str) -> None:
        with psycopg.connect(database_url) as connection:
            connection.execute("SET deadlock_timeout = '10ms'")
            connection.execute(f"LOCK TABLE {first}".encode())
            both_hold_one.wait()
            try:
                connection.execute(f"LOCK TABLE {second}".encode())
            except psycopg.Error as error:
                errors.append(error)
            connection.rollback()

    threads = [
        threading.Thread(target=lock, args=tables) for tables in (("users", "activities"), ("activities", "users"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    check(errors[0], Fault.PASSING, "40P01 DeadlockDetected: deadlock detected")


def test_a_failure_to_serialize_may_pass(database_url: str) -> None:
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        for connection in (first, second):
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        first.execute(INSERT_USER, ("1", "Ada", "ada"))
        first.commit()
        second.execute("SELECT FROM users")
        first.execute("UPDATE users SET email = 'a'")
        first.commit()

        error = caught_by(second, "UPDATE users SET email = 'b'")
        second.rollback()

    check(error, Fault.PASSING, "40001 SerializationFailure: could not serialize access due to concurrent update")


def test_a_lock_that_is_not_released_in_time_may_pass(connection: Connection, database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE users")
        connection.execute("SET LOCAL lock_timeout = '50ms'")
        error = caught_by(connection, INSERT_USER, PRIVATE, PRIVATE, PRIVATE)

    check(error, Fault.PASSING, "55P03 LockNotAvailable: canceling statement due to lock timeout")


def test_a_statement_that_takes_too_long_may_pass(connection: Connection) -> None:
    connection.execute("SET LOCAL statement_timeout = '50ms'")

    error = caught_by(connection, "SELECT pg_sleep(60)")

    check(error, Fault.PASSING, "57014 QueryCanceled: canceling statement due to statement timeout")


def test_a_transaction_that_takes_too_long_may_pass(connection: Connection) -> None:
    if connection.info.server_version < 170_000:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    connection.execute("SET LOCAL transaction_timeout = '50ms'")

    error = caught_by(connection, "SELECT pg_sleep(60)")

    check(error, Fault.PASSING, "25P04 TransactionTimeout: terminating connection due to transaction timeout")


def test_a_read_only_database_is_its_own_fault(connection: Connection) -> None:
    connection.execute("SET TRANSACTION READ ONLY")

    error = caught_by(connection, INSERT_USER, PRIVATE, PRIVATE, PRIVATE)

    check(error, Fault.DATABASE, "25006 ReadOnlySqlTransaction: cannot execute INSERT in a read-only transaction")


def test_a_terminated_connection_is_the_database_s_fault(connection: Connection, database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))

    error = caught_by(connection, "SELECT 1")
    check(error, Fault.DATABASE, "57P01 AdminShutdown: terminating connection due to administrator command")

    again = caught_by(connection, "SELECT 1")
    check(again, Fault.DATABASE, "OperationalError: the connection is closed")


def test_a_refused_connection_is_the_database_s_fault() -> None:
    port = free_port()

    error = caught(lambda: psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres"))

    assert fault_of(error) is Fault.DATABASE
    assert "Connection refused" in describe(error)
    assert "\n" not in describe(error)


def test_too_many_connections_are_the_database_s_fault(role: CreateRole) -> None:
    url = role("CONNECTION LIMIT 0")

    error = caught(lambda: psycopg.connect(url))

    assert fault_of(error) is Fault.DATABASE
    assert "too many connections" in describe(error)


def test_a_database_that_does_not_exist_is_its_own_fault(postgres: Postgres) -> None:
    error = caught(lambda: psycopg.connect(postgres.url("nowhere")))

    assert fault_of(error) is Fault.DATABASE
    assert 'database "nowhere" does not exist' in describe(error)


def test_a_missing_table_is_the_database_s_fault(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        error = caught_by(connection, INSERT_USER, PRIVATE, PRIVATE, PRIVATE)

    check(error, Fault.DATABASE, '42P01 UndefinedTable: relation "users" does not exist')


def test_a_missing_privilege_is_the_database_s_fault(role: CreateRole) -> None:
    with psycopg.connect(role()) as connection:
        error = caught_by(connection, INSERT_USER, PRIVATE, PRIVATE, PRIVATE)

    check(error, Fault.DATABASE, "42501 InsufficientPrivilege: permission denied for table users")


def test_a_prepared_statement_that_a_pooler_lost_is_the_database_s_fault(connection: Connection) -> None:
    error = caught_by(connection, "EXECUTE gone")

    check(error, Fault.DATABASE, '26000 InvalidSqlStatementName: prepared statement "gone" does not exist')


@pytest.mark.parametrize(
    ("sqlstate", "fault"),
    [
        ("53100", Fault.DATABASE),  # disk_full
        ("53200", Fault.DATABASE),  # out_of_memory
        ("53300", Fault.DATABASE),  # too_many_connections
        ("57P02", Fault.DATABASE),  # crash_shutdown
        ("57P03", Fault.DATABASE),  # cannot_connect_now
        ("58030", Fault.DATABASE),  # io_error
        ("08006", Fault.DATABASE),  # connection_failure
        ("28P01", Fault.DATABASE),  # invalid_password
        ("XX000", Fault.PASSING),  # internal_error, of which the table knows nothing
    ],
)
def test_what_cannot_be_brought_about_here_is_known_by_its_code(sqlstate: str, fault: Fault) -> None:
    error = psycopg.errors.lookup(sqlstate)()

    assert fault_of(error) is fault
    assert describe(error).startswith(f"{sqlstate} ")


def test_every_description_is_one_line(connection: Connection) -> None:
    with suppress(psycopg.Error):
        connection.execute("SELECT 1 FROM nowhere")

    error = caught_by(connection, "SELECT 1")  # in a transaction that has failed

    assert "\n" not in describe(error)
    assert fault_of(error) is Fault.DATABASE


def test_a_message_of_several_lines_is_described_by_the_first(connection: Connection) -> None:
    """As Citus writes of a node that is away."""
    statement = (
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '08006', MESSAGE = E'the node is away:\\n\\tprobably'; END $$"
    )

    assert describe(caught_by(connection, statement)) == "08006 ConnectionFailure: the node is away:"
