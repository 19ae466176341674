"""Overview: is it well?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from starlette.responses import Response

from worker.console.charts import charts
from worker.console.dead_letter_cache import Snapshot
from worker.console.formats import age, duration
from worker.console.request import Visit
from worker.console.system_monitor import FIRST_WAIT, PauseSeen, Seen
from worker.console.worker_status import last_hour, slowest

SLOW = 60.0  # seconds of lag, of which one message in a hundred may have more
EXPIRING = 10 * 86_400.0  # seconds; SQS keeps messages for 14 days at most

Level = Literal["well", "attention", "broken"]
_LEVELS: tuple[Level, ...] = ("well", "attention", "broken")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, and the page that helps."""

    level: Level
    text: str
    link: str = ""
    link_text: str = ""


def show(visit: Visit) -> Response:
    seen, snapshot = visit.console.monitor.seen(), visit.console.dead_letters.snapshot(wait=FIRST_WAIT)
    workers = seen.workers if seen else ()
    findings = [
        *_of_pause(visit.console.monitor.pause()),
        *_findings(seen, snapshot, visit.console.dead_letters.problem),
    ]
    level = max((finding.level for finding in findings), key=_LEVELS.index, default="well")
    hour = last_hour(workers, datetime.now(UTC))
    return visit.page(
        "overview.html",
        seen=seen,
        snapshot=snapshot,
        findings=sorted(findings, key=lambda finding: -_LEVELS.index(finding.level)),
        level=level,
        lag=slowest(workers),
        retries=[(worker.address, waiting) for worker in workers if worker.status for waiting in worker.status.waiting],
        written=hour.minutes[-2].committed,
        charts=charts(hour),
        refreshes=visit.asked("refresh") != "off",
    )


def _of_pause(seen: PauseSeen | None) -> Iterator[Finding]:
    if seen is not None and seen.pause is not None:
        yield Finding("attention", "All workers are paused: nothing is written until somebody lets them go on.")


def _findings(seen: Seen | None, snapshot: Snapshot | None, shelf_problem: str | None) -> Iterator[Finding]:
    if seen is None:
        yield Finding("attention", "The system has not answered yet; this page asks again by itself.")
        return
    if seen.problem:
        yield Finding("broken", f"The console cannot look at the system: {seen.problem}")
        return
    yield from _of_workers(seen)
    if seen.queue_problem:
        yield Finding("broken", f"SQS does not answer: {seen.queue_problem}")
    if seen.database_problem:
        yield Finding("broken", f"The database does not answer the console: {seen.database_problem}")
    if shelf_problem:
        yield Finding("attention", f"The dead letters cannot be read: {shelf_problem}")
    elif snapshot is None:
        yield Finding("attention", "The dead letters have not been read yet.")
    if snapshot is not None:
        yield from _of_dead_letters(snapshot)


def _of_workers(seen: Seen) -> Iterator[Finding]:
    alive = [worker for worker in seen.workers if worker.status]
    if not alive:
        yield _without_workers(seen)
    elif len(alive) < len(seen.workers):
        yield Finding("attention", f"{len(seen.workers) - len(alive)} of {len(seen.workers)} workers do not answer.")
    for worker in alive:
        status = worker.status
        if status and status.paused_since:
            why = f" ({status.pause_reason})" if status.pause_reason else ""
            text = f"Worker {worker.address} waits for the database, since {age(status.paused_since)}{why}."
            yield Finding("broken", f"{text} It goes on by itself, and nothing is lost.")
    lag = slowest(alive)
    if lag.p99 is not None and lag.p99 > SLOW:
        yield Finding("attention", f"Of the last hour's messages one in a hundred took {duration(lag.p99)} or more.")


def _without_workers(seen: Seen) -> Finding:
    """A worker whose admin server is off, or that WORKER_URLS does not name, may be at work all the same."""
    text = "No worker answers where WORKER_URLS says: whether one is writing is unknown."
    waiting = seen.visible
    if waiting:
        return Finding("broken", f"{text} {waiting:,} message{' waits' if waiting == 1 else 's wait'} in the queue.")
    return Finding("attention", text)


def _of_dead_letters(snapshot: Snapshot) -> Iterator[Finding]:
    count, unseen = snapshot.total, snapshot.unseen
    if count:
        text = f"{count:,} message{' has' if count == 1 else 's have'} failed for good: look why, mend, send back."
        yield Finding("attention", text, "/letters", "Dead letters")
    elif unseen:
        yield Finding("attention", f"No dead letter was seen, but {unseen[0]}.", "/letters", "Dead letters")
    if snapshot.oldest_at is not None and snapshot.taken_at - snapshot.oldest_at > EXPIRING:
        yield Finding(
            "broken", f"The oldest dead letter is {age(snapshot.oldest_at)} old; SQS deletes it after 14 days."
        )
