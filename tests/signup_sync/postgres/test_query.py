import json
import traceback
from contextlib import closing
from pathlib import Path
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest

from db.pool import Database, connect
from signup_sync.postgres.query import Parameters, execute, explain, query_array_json, query_object_json
from signup_sync.postgres.statements import Connection, statement

INSERT_USER: LiteralString = """
INSERT INTO users (cognito_user_id, display_name, handle)
VALUES (%(id)s, %(name)s, %(handle)s)
RETURNING handle
"""


def failure(connection: Connection, statement: LiteralString, parameters: Parameters | None = None) -> str:
    """What a developer is told."""
    with pytest.raises(psycopg.Error) as caught:
        query_array_json(connection, statement, parameters)
    (note,) = caught.value.__notes__
    return str(note)


def _insert_and_fail(connection: Connection) -> None:
    execute(connection, INSERT_USER, {"id": "1", "name": "Ada", "handle": "ada"})
    execute(connection, "SELECT 1 / 0")


def test_a_statement_runs_in_a_transaction_of_its_own(database_url: str) -> None:
    with closing(connect(database_url)) as connection, closing(connect(database_url)) as other:
        assert execute(connection, INSERT_USER, {"id": "1", "name": "Ada", "handle": "ada"}) == [("ada",)]
        assert execute(connection, "UPDATE users SET email = 'a@example.com'") == []

        assert execute(other, "SELECT handle, email FROM users") == [("ada", "a@example.com")]


def test_in_a_transaction_that_is_open_it_is_a_part_of_that(database_url: str) -> None:
    database = Database(database_url, max_connections=1, statement_timeout_ms=5000, lock_timeout_ms=5000)
    database.open()
    with closing(database):
        with pytest.raises(psycopg.errors.DivisionByZero), database.transaction() as connection:
            _insert_and_fail(connection)
        with database.transaction() as connection:
            assert execute(connection, "SELECT count(*) FROM users") == [(0,)]


def test_values_are_parameters_whatever_is_in_them(connection: Connection) -> None:
    hostile = """'); DROP TABLE users; -- % %s {statement} "x" \\"""

    body = query_object_json(connection, "SELECT %(text)s::text AS text, '100%%' AS share", {"text": hostile})

    assert body is not None
    assert json.loads(body) == {"text": hostile, "share": "100%"}


def test_without_parameters_a_percent_sign_is_itself(connection: Connection) -> None:
    assert query_array_json(connection, "SELECT '100%' AS share") == b'[{"share":"100%"}]'


def test_postgres_writes_the_object(connection: Connection) -> None:
    body = query_object_json(
        connection,
        "SELECT 1 AS number, NULL AS nothing, ARRAY[true] AS list, %(uuid)s::uuid AS uuid, '2026-01-31'::date AS date",
        {"uuid": UUID(int=7)},
    )

    assert type(body) is bytes
    assert body == (
        b'{"number":1,"nothing":null,"list":[true],"uuid":"00000000-0000-0000-0000-000000000007","date":"2026-01-31"}'
    )


def test_the_bytes_are_utf_8_whatever_the_connection_speaks(database_url: str) -> None:
    with closing(connect(f"{database_url}?client_encoding=latin1")) as connection:
        assert query_object_json(connection, "SELECT 'Åsa' || chr(128251) AS name") == '{"name":"Åsa📻"}'.encode()


def test_no_row_is_no_object_and_an_empty_array(connection: Connection) -> None:
    assert query_object_json(connection, "SELECT uuid FROM users") is None
    assert query_array_json(connection, "SELECT uuid FROM users") == b"[]"


def test_two_rows_are_no_object(connection: Connection) -> None:
    with pytest.raises(ValueError, match="more than one row"):
        query_object_json(connection, "VALUES (1), (2)")


def test_an_array_has_the_statements_order(connection: Connection) -> None:
    body = query_array_json(connection, "SELECT n FROM generate_series(1, 1000) AS n ORDER BY n %% 7, n DESC", {})

    assert [row["n"] for row in json.loads(body)] == sorted(range(1, 1001), key=lambda n: (n % 7, -n))


def test_what_a_statement_writes_can_be_returned_as_an_object(connection: Connection) -> None:
    body = query_object_json(connection, INSERT_USER, {"id": "1", "name": "Ada", "handle": "ada"})

    assert body == b'{"handle":"ada"}'
    assert execute(connection, "SELECT handle FROM users") == [("ada",)]


def test_a_statement_may_end_with_a_comment_and_begin_with_with(connection: Connection) -> None:
    statement: LiteralString = "WITH result AS (SELECT 1 AS n) SELECT n FROM result -- the one"

    assert query_array_json(connection, statement) == b'[{"n":1}]'


def test_a_backend_keeps_its_statements_in_files_of_its_own(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "double.sql").write_text("-- Twice.\nSELECT 2 * %(n)s AS n\n")

    assert query_object_json(connection, statement("double", tmp_path), {"n": 21}) == b'{"n":42}'


def test_an_error_shows_where_in_the_statement_it_is(connection: Connection) -> None:
    statement: LiteralString = "SELECT uuid,\n\thandel\nFROM users WHERE handle = %(handle)s"

    assert failure(connection, statement, {"handle": "secret"}) == (
        '42703 UndefinedColumn: column "handel" does not exist\n'
        'HINT: Perhaps you meant to reference the column "users.handle".\n'
        "line 2, column 2:\n"
        "  SELECT uuid,\n"
        "  \thandel\n"
        "  \t^\n"
        "  FROM users WHERE handle = %(handle)s"
    )


@pytest.mark.parametrize("parameters", [{"first": 1, "second": 2}, None])
def test_the_position_is_that_in_the_text_that_was_written(
    connection: Connection, parameters: Parameters | None
) -> None:
    given: LiteralString = "SELECT %(first)s::int, %(second)s::int, %(first)s::int, '📻 %%', nothing"
    statement: LiteralString = given if parameters else "SELECT 1 % 1, '📻', nothing"

    assert failure(connection, statement, parameters).splitlines()[-3:] == [
        f"line 1, column {statement.index('nothing') + 1}:",
        f"  {statement}",
        "  " + " " * statement.index("nothing") + "^",
    ]


def test_execute_marks_the_position_too(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.SyntaxError) as caught:
        execute(connection, "SELEC 1")

    assert caught.value.__notes__ == [
        '42601 SyntaxError: syntax error at or near "SELEC"\nline 1, column 1:\n  SELEC 1\n  ^'
    ]


def test_an_error_at_the_end_of_the_statement_has_no_position_in_it(connection: Connection) -> None:
    statement: LiteralString = "SELECT 1 +"

    assert failure(connection, statement).splitlines()[1:] == ["  SELECT 1 +"]


def test_an_explanation_holds_no_value(connection: Connection) -> None:
    user = {"id": "1", "name": "Ada", "handle": "secret-handle"}
    execute(connection, INSERT_USER, user)

    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        execute(connection, INSERT_USER, {**user, "id": "2"})

    explanation = explain(caught.value, INSERT_USER, user)
    assert explanation.startswith("23505 UniqueViolation (users_lower_handle_key)\n")
    assert "secret-handle" not in explanation


def test_a_value_that_cannot_be_read_is_not_repeated(connection: Connection) -> None:
    told = failure(connection, "SELECT %(text)s::uuid", {"text": "hunter2"})

    assert told.startswith("22P02 InvalidTextRepresentation\n")
    assert "hunter2" not in told


def test_a_parameter_that_is_missing_is_named(connection: Connection) -> None:
    assert "query parameter missing: handle" in failure(connection, "SELECT %(handle)s", {"handel": "ada"})


def test_a_traceback_shows_the_statement(connection: Connection) -> None:
    with pytest.raises(psycopg.Error) as caught:
        query_array_json(connection, "SELECT nothing")

    assert "  SELECT nothing\n         ^" in "".join(traceback.format_exception(caught.value))
