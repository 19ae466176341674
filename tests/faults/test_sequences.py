"""Random sequences of all that can happen, against real processes; in the end the tables are the model's.

Each test is a few sequences that follow from its seed: the same test runs the same sequences again. FAULTS_SEED gives
others, and FAULTS_SHARDS more of them (see the Makefile).
"""

import os
import time
from collections.abc import Callable

import pytest
from hypothesis import Phase, given, note, seed, settings
from hypothesis import strategies as st

from tests.faults.system import DELETION_TIMES, NAMES, UPDATE_TIMES, System
from tests.support.fault_proxy import ANY
from tests.support.postgres import Postgres
from tests.support.sqs import SqsServer

FIRST_SEED = int(os.environ.get("FAULTS_SEED") or 1)
SHARDS = int(os.environ.get("FAULTS_SHARDS") or 3)
SEQUENCES = 8  # of one test, the first of them the simplest
ACTIVITIES = 12  # different ones of a sequence
MORTAL = ["ada", "bob", "eve"]  # of those who want the same handle one may be deleted

Step = tuple[str, Callable[[System], None]]


def step(name: str, *arguments: object, then: Callable[[System], None]) -> Step:
    """A step with what is printed of it."""
    return f"{name} {' '.join(map(str, arguments))}".strip(), then


def sign_up(name: str, copies: int) -> Step:
    return step("sign_up", name, copies, then=lambda system: system.send_sign_up(name, copies))


def update(name: str, number: int, copies: int) -> Step:
    return step("update", name, number, copies, then=lambda system: system.send_update(name, number, copies))


def delete(name: str, activities: str, number: int, copies: int) -> Step:
    then = lambda system: system.send_deletion(name, activities, number, copies)  # noqa: E731 (too long for one line)
    return step("delete", name, activities, number, copies, then=then)


def activity(number: int, reply: bool, copies: int) -> Step:
    """Author and parent follow from the number. Parents have smaller ones: there are chains, and no circles."""
    author, parent = NAMES[number % len(NAMES)], number // 2 if reply and number else None
    # Twice the number: one that replies is another one than one that does not.
    own, its = 2 * number + reply, None if parent is None else 2 * parent + (parent % 2)
    return step("activity", own, its, copies, then=lambda system: system.send_activity(own, author, its, copies))


def pause(tenths: int) -> Step:
    return step("pause", tenths / 10, then=lambda _: time.sleep(tenths / 10))


def sqs_fault(kind: str, action: str) -> Step:
    def then(system: System) -> None:
        sqs = system.sqs
        {
            "error": lambda: sqs.fail(action, times=4),
            "throttled": lambda: sqs.fail(action, status=400, code="ThrottlingException", times=4),
            "expired": lambda: sqs.fail(action, status=403, code="ExpiredTokenException", times=4),
            "request lost": lambda: sqs.drop_request(action, times=3),
            "response lost": lambda: sqs.drop_response(action, times=2),
            "slow": lambda: sqs.delay(action, 0.5, times=6),
        }[kind]()

    return step("sqs", kind, action, then=then)


def half_a_batch(action: str) -> Step:
    return step("sqs half", action, then=lambda system: system.sqs.fail_entries(action, 0.5, times=4))


def restart(system: System) -> None:
    system.stop_worker()
    system.start_worker()


def kill(system: System) -> None:
    system.kill_worker()
    system.start_worker()


def slow_database(system: System) -> None:
    system.network.delay = 0.2


def second_worker(system: System) -> None:
    if len(system.running) < 2:
        system.start_worker()


FAULTS: list[Step] = [
    ("kill", kill),
    ("restart", restart),
    ("second worker", second_worker),
    ("database down", lambda system: system.network.down()),
    ("database up", lambda system: system.network.up()),
    ("database cut", lambda system: system.network.cut()),
    ("database frozen", lambda system: system.network.freeze()),
    ("database thawed", lambda system: system.network.thaw()),
    ("database slow", slow_database),
    ("database read-only", lambda system: system.make_read_only(read_only=True)),
    ("database writable", lambda system: system.make_read_only(read_only=False)),
    ("replay", lambda system: system.replay()),
    ("reconcile", lambda system: system.reconcile()),
    ("heal", lambda system: system.heal()),
]
ACTIONS = ["ReceiveMessage", "DeleteMessageBatch", "SendMessageBatch", "ChangeMessageVisibilityBatch"]
SQS_FAULTS = ["error", "throttled", "expired", "request lost", "response lost", "slow"]

copies = st.integers(1, 3)
traffic = st.one_of(
    st.builds(sign_up, st.sampled_from(NAMES), st.integers(0, 3)),
    st.builds(activity, st.integers(0, ACTIVITIES - 1), st.booleans(), copies),
    st.builds(activity, st.integers(0, ACTIVITIES - 1), st.booleans(), copies),
    st.builds(update, st.sampled_from(NAMES), st.integers(0, len(UPDATE_TIMES) - 1), copies),
    st.builds(
        delete,
        st.sampled_from(MORTAL),
        st.sampled_from(["erase", "keep"]),
        st.integers(0, len(DELETION_TIMES) - 1),
        copies,
    ),
    st.integers(0, 5).map(lambda kind: step("broken", kind, then=lambda system: system.send_broken(kind))),
)
trouble = st.one_of(
    st.sampled_from(FAULTS),
    st.builds(sqs_fault, st.sampled_from(SQS_FAULTS), st.sampled_from([ANY, *ACTIONS])),
    st.builds(half_a_batch, st.sampled_from(ACTIONS[1:])),
    st.builds(pause, st.integers(1, 8)),
)
# A few messages, something that goes wrong, and so on.
sequences = st.lists(st.tuples(st.lists(traffic, min_size=1, max_size=6), trouble), min_size=1, max_size=8)


@pytest.mark.parametrize("number", range(FIRST_SEED, FIRST_SEED + SHARDS))
def test_the_tables_are_the_model_s(
    postgres: Postgres, migrated_template: str, sqs_server: SqsServer, number: int
) -> None:
    # Without shrinking: a sequence takes seconds, and what it did is printed.
    @seed(number)
    @settings(derandomize=False, database=None, max_examples=SEQUENCES, phases=(Phase.generate,), deadline=None)
    @given(sequence=sequences, max_attempts=st.sampled_from(["1", "20"]), client=st.sampled_from(["lean", "boto3"]))
    def run(sequence: list[tuple[list[Step], Step]], max_attempts: str, client: str) -> None:
        worker = {"MAX_ATTEMPTS": max_attempts, "SQS_CLIENT": client}
        note(str(worker))
        with System(postgres, migrated_template, sqs_server, worker) as system:
            try:
                for messages, fault in sequence:
                    for name, act in (*messages, fault):
                        note(name)
                        act(system)
                system.settle()
                system.assert_settled()
            except BaseException:
                note(str(system))
                raise

    run()
