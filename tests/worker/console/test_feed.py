"""The newest activities."""

import re
from datetime import UTC, datetime

from db.connection import Connection
from db.tables.deletions import Deletion, delete_users
from tests.support.events import activity, sign_up
from tests.support.tables import write
from tests.worker.console.operator import Operator


def test_the_feed_is_masked_until_it_is_revealed(operator: Operator, database_url: str) -> None:
    write(
        database_url,
        sign_up("ada", handle="countess", display_name="Ada L."),
        activity("ada", "notes on the engine"),
    )

    masked, revealed = operator.get("/feed").words, operator.post("/feed/reveal").words

    for personal in ("Ada L.", "countess", "notes on the engine"):
        assert personal not in masked
        assert personal in revealed
    assert re.search(r"[0-9a-f]{8} author 1 \S+ ago 19 characters", masked)


def test_older_activities_are_a_page_further(operator: Operator, database_url: str) -> None:
    write(database_url, sign_up("ada"), *[activity("ada", f"message number {number}.") for number in range(25)])
    operator.post("/feed/reveal")

    first = operator.get("/feed")
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert older is not None
    second = operator.get(older[1].replace("&amp;", "&"))

    shown = re.findall(r"message number \d+\.", first.words + second.words)
    assert len(shown) == len(set(shown)) == 25
    assert 'rel="next"' not in second.text


def test_what_somebody_who_is_deleted_has_left_is_theirs_no_more(operator: Operator, database_url: str) -> None:
    write(database_url, sign_up("ada"), activity("ada", "notes on the engine"))
    with Connection.connect(database_url) as connection:
        delete_users(connection, [Deletion("ada", datetime.now(UTC), erases=False)])

    masked, revealed = operator.get("/feed").words, operator.post("/feed/reveal").words

    assert re.search(r"[0-9a-f]{8} deleted user \S+ ago 19 characters", masked)
    assert re.search(r"[0-9a-f]{8} deleted user \S+ ago notes on the engine", revealed)
