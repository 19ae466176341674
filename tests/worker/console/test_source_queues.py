"""Two source queues in the console: what waits in them, and where dead letters go back to."""

import pytest

from tests.support.dlq import Dlq
from tests.support.events import activity, sign_up
from tests.support.sqs import Queues
from tests.support.wait import wait_until
from tests.worker.console.operator import Operator
from tests.worker.console.test_letters import do, plan

POST = activity("ada")
FORGED = sign_up("eve")

two_queues = pytest.mark.queues(activities=True)


@two_queues
def test_all_are_replayed_each_to_its_own_queue_and_a_refused_sign_up_stays(operator: Operator, dlq: Dlq) -> None:
    dlq.fill(sign_up("bob"))
    dlq.fill(POST, source_queue="activities")
    [forged] = dlq.fill(FORGED, reason="wrong_queue", source_queue="activities")
    operator.post("/letters/look")

    page = operator.get(f"/letters/{forged}").words
    confirmation = operator.post("/letters/confirm", scope="all", action="replayed")
    result = operator.post("/letters/act", plan=plan(confirmation))

    assert "Came from the activities queue, to which a replay sends it back" in page
    assert "type: only activity.created.v1 may come from the activities queue" in page
    assert "type: only activity.created.v1 may come from the activities queue" in confirmation.words
    assert "2 sent back" in result.words
    assert (dlq.event_bodies(), dlq.activity_bodies(), dlq.dead_bodies()) == ([sign_up("bob")], [POST], [FORGED])


def test_what_came_from_a_queue_that_is_not_named_goes_nowhere(operator: Operator, dlq: Dlq) -> None:
    [post] = dlq.fill(POST, source_queue="activities")
    operator.post("/letters/look")

    result = do(operator, "replayed", post)

    assert "it came from the activities queue: set ACTIVITIES_QUEUE_URL" in result.words
    assert (dlq.event_bodies(), dlq.dead_bodies()) == ([], [POST])


@two_queues
def test_the_overview_counts_what_waits_in_both(operator: Operator, queues: Queues) -> None:
    queues.send(sign_up("bob"))
    queues.send(POST, activity("bob"), to=queues.activities_url)

    def both() -> bool:
        words = operator.get("/").words
        return "Waiting in the queue 3" in words and "of those that wait 2 are in the activities queue" in words

    wait_until(both, 60, "it does not say what waits")
