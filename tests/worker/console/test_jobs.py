"""Jobs: one that fails says so, and the next one is done."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.captured_logs import captured_logs
from worker.console.identity.people import Person
from worker.console.jobs import Job, Jobs

GRACE = Person("Grace", "declared")


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    with closing(Jobs()) as made:
        yield made


def test_a_job_that_fails_says_where_to_look_and_ends_no_other(jobs: Jobs) -> None:
    def fail(_: Job) -> None:
        raise KeyError("somebody@example.com")

    with captured_logs() as log:
        failed = jobs.begin("replayed", GRACE, 1, fail)
        done = jobs.begin("deleted", GRACE, 1, lambda job: job.tell("x", "deleted"))
        assert done.finished.wait(30)

    assert failed.problem == "it failed (KeyError); the console's log says where"
    assert (done.problem, done.done) == (None, 1)
    assert [(line["event"], line["where"].partition(":")[0]) for line in log] == [("job_failed", "test_jobs.py")]
    assert "@" not in str(log)
