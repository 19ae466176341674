"""Actions on dead letters: what the console does to them, with the code of `signup-sync dlq`.

A message is acted on by its id: it is received again, which tells whether it is still there, and everything else that
was received on the way is released before the first message is sent.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from signup_sync.sqs import BATCH_ENTRIES
from worker.console.audit import Audit
from worker.console.dead_letter_cache import DeadLetterCache, NotADeadLetterQueue
from worker.console.jobs import Job, JobRefused
from worker.dead_letters.dead_letter import DeadLetter, Selection
from worker.dead_letters.files import to_line
from worker.dead_letters.replay import Edit, outcome_of, reason_to_leave
from worker.dead_letters.requeue import Requeue, Result, let_go
from worker.dead_letters.scan import Scan
from worker.dead_letters.source_queues import SourceQueues

MAX_AT_ONCE = 10_000  # messages, which are kept in memory meanwhile
MAX_COPIED = 67_108_864  # bytes of a copy

GONE = "it is not there any more, or somebody else holds it"


@dataclass(frozen=True, slots=True)
class _Taken:
    inspection: Scan
    letters: list[DeadLetter] = field(default_factory=list)


class Actions:
    """Each method is the work of a job, except `copy`."""

    def __init__(self, queues: SourceQueues, dead_letters: DeadLetterCache, audit: Audit) -> None:
        self._queues = queues
        self._dead_letters = dead_letters
        self._audit = audit

    def replay(self, ids: Collection[str], rate: float | None, job: Job) -> None:
        """Send back those that would work today; `rate` is in messages a second."""
        with self._taken(ids, job) as taken:
            sendable = []
            for letter in taken.letters:
                left = reason_to_leave(letter, taken.inspection.attributes.answered_at)
                if left is None:
                    sendable.append(letter)
                else:
                    self._tell(job, letter.id, *left)
            self._transfer([(letter, letter.message.body) for letter in sendable], taken.inspection, job, rate)

    def send_edited(
        self, ids: Collection[str], edit: Callable[[DeadLetter], Edit], rate: float | None, job: Job
    ) -> None:
        """Send the events as they are now, as far as they are valid; `rate` is in messages a second."""
        with self._taken(ids, job) as taken:
            valid = []
            for edited in map(edit, taken.letters):
                problem = edited.problem
                if problem is None:
                    valid.append((edited.letter, edited.body))
                else:
                    self._tell(job, edited.letter.id, "invalid", problem)
            self._transfer(valid, taken.inspection, job, rate)

    def delete(self, ids: Collection[str], job: Job) -> None:
        with self._taken(ids, job) as taken:
            found = [letter.id for letter in taken.letters]
            for start in range(0, len(found), BATCH_ENTRIES):
                if job.stopping.is_set():
                    raise JobRefused("the console was stopped; the rest is where it was")
                batch = found[start : start + BATCH_ENTRIES]
                still_there = let_go(taken.inspection.held, batch)
                for message_id in batch:
                    code = still_there.get(message_id)
                    self._tell(job, message_id, *(("not_deleted", f"SQS: {code}") if code else ("deleted", "")))
                self._dead_letters.forget([message_id for message_id in batch if message_id not in still_there])

    def copy(self, ids: Collection[str]) -> list[str]:
        """The messages as the lines of a file of `signup-sync dlq export`. Raises `SqsError` and `JobRefused`."""
        lines = []
        size = 0
        with self._inspecting() as inspection:
            for letter in _found(ids, inspection):
                lines.append(to_line(letter))
                size += len(lines[-1])
                if size > MAX_COPIED:
                    raise JobRefused("these are too large for a page: use signup-sync dlq export")
        return lines

    def _transfer(self, letters: list[tuple[DeadLetter, str]], inspection: Scan, job: Job, rate: float | None) -> None:
        edited = job.action == "edited"

        def report(result: Result[DeadLetter]) -> None:
            outcome, why = outcome_of(result)
            if outcome == "replayed":
                self._dead_letters.forget([result.entry.id])
            self._tell(job, result.entry.id, "edited" if edited and outcome == "replayed" else outcome, why)

        with Requeue(self._queues, inspection.held, report, rate) as transfer:
            for letter, body in letters:
                if job.stopping.is_set():
                    raise JobRefused("the console was stopped; the rest is where it was")
                transfer.add(letter, letter.original(body))

    @contextmanager
    def _taken(self, ids: Collection[str], job: Job) -> Iterator[_Taken]:
        """Hold these, and no others; says of the missing that they are."""
        with self._inspecting() as inspection:
            taken = _Taken(inspection, list(_found(ids, inspection, stopped=job.stopping.is_set)))
            found = {letter.id for letter in taken.letters}
            inspection.finish(keep=found)
            missing = [message_id for message_id in ids if message_id not in found]
            for message_id in missing:
                self._tell(job, message_id, "not_found", GONE)
            yield taken
        self._dead_letters.forget(missing)

    @contextmanager
    def _inspecting(self) -> Iterator[Scan]:
        try:
            with self._dead_letters.inspecting() as inspection:
                yield inspection
        except NotADeadLetterQueue as error:
            raise JobRefused(str(error)) from None

    def _tell(self, job: Job, message_id: str, outcome: str, why: str = "") -> None:
        job.tell(message_id, outcome, why)
        self._audit.record(job.who, job.action, message_id, outcome)


def _found(ids: Collection[str], inspection: Scan, stopped: Callable[[], bool] = lambda: False) -> Iterator[DeadLetter]:
    """Those whose own id it is: an event can be given any id, another message's too."""
    missing = set(ids)
    for letter in Selection(ids=frozenset(ids)).choose(inspection):
        if letter.id in missing:
            missing.discard(letter.id)
            yield letter
        if not missing or stopped():
            return
