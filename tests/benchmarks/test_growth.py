"""Growth is measured on tables that are as the migrations make them."""

import json
import tempfile
from pathlib import Path

import psycopg
import pytest

from benchmarks.generated import Generated, Keys, generate, handle, posted_keys, user_ids
from benchmarks.growth import Case, NoRoom, check_room, measure_case, to_json, to_text
from db.connection import Connection
from db.tables.users import look_up_users
from tests.support.postgres import memory

ROWS = 2000


@pytest.fixture(scope="module")
def case() -> Case:
    return measure_case(ROWS, "v7", lambda _: None, memory() or Path(tempfile.gettempdir()), repeats=2)


@pytest.mark.process
def test_each_operation_has_its_cost(case: Case) -> None:
    costs = {cost.operation: cost for cost in case.costs}

    assert (case.activities, case.users, case.keys) == (ROWS, 20, "v7")
    assert costs["home feed, newest"].hits > 0
    assert costs["home feed, newest"].wal_kilobytes == 0
    for operation in ("insert 100 users", "insert 100 activities", "insert 100 activities, 20 of them replies"):
        assert costs[operation].wal_kilobytes > 10
        assert costs[operation].pages_written > 0
    assert case.sizes["activities"] > ROWS * 100
    assert case.sizes["activities_pkey"] > ROWS * 24
    assert json.loads(to_json(case))["costs"][0]["operation"] == "home feed, newest"
    assert "| insert 100 activities | " in to_text(case)


@pytest.mark.parametrize("keys", ["v4", "v7"])
def test_what_is_generated_has_the_indexes_and_foreign_keys_of_the_migrations(
    connection: Connection, database_url: str, keys: Keys
) -> None:
    before = definitions(connection)
    connection.commit()

    generated = generate(database_url, ROWS, keys, lambda _: None)

    assert definitions(connection) == before
    assert generated == Generated(20, ROWS)
    [(count, replies, in_order)] = connection.execute(
        "SELECT count(*), count(reply_to_activity_uuid),"
        " array_agg(uuid ORDER BY created_at) = array_agg(uuid ORDER BY uuid) FROM activities"
    )
    assert (count, in_order) == (ROWS, keys == "v7")
    assert 0 < replies < ROWS / 5
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("UPDATE activities SET user_uuid = uuid")


def test_keys_can_be_computed(connection: Connection, database_url: str) -> None:
    generate(database_url, ROWS, "v7", lambda _: None)

    for key in posted_keys(connection, [1, ROWS]):
        assert connection.execute("SELECT 1 FROM activities WHERE (uuid, created_at) = (%s, %s)", key).fetchall()
    assert [user.cognito_user_id for user in look_up_users(connection, handle(7))] == user_ids(connection, [7])


def test_what_does_not_fit_on_the_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRoom, match=r"GB free, and .* activities take .*: take fewer --rows, or another --directory"):
        check_room(10**12, tmp_path)


def definitions(connection: Connection) -> set[str]:
    """Without whether the rows of before were looked at."""
    query = (
        "SELECT indexdef FROM pg_indexes WHERE tablename IN ('users', 'activities') UNION"
        " SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid IN ('users'::regclass, 'activities'::regclass)"
    )
    return {row[0].removesuffix(" NOT VALID") for row in connection.execute(query)}
