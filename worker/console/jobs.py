"""Jobs: what may take longer than a page may, one after the other in a thread of their own."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from signup_sync.sqs import SqsError
from worker.console.defect import in_words, log_defect
from worker.console.identity.people import Person

MAX_KEPT = 50  # jobs, of which the results can still be seen
MAX_NAMED = 100  # messages of a job that were not done


@dataclass(slots=True)
class Job:
    """One of them. `work` tells it what became of each message; pages read it meanwhile."""

    id: int
    action: str
    who: Person
    total: int
    done: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    named: list[tuple[str, str]] = field(default_factory=list)
    """Messages that were left, and why."""
    problem: str | None = None
    subject: str | None = None
    """The user whom it was about, if it was one."""
    stopping: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    def tell(self, message_id: str, outcome: str, why: str = "") -> None:
        """What became of a message. `why` has nothing of what people wrote."""
        self.done += 1
        self.outcomes[outcome] += 1
        if why and len(self.named) < MAX_NAMED:
            self.named.append((message_id, why))

    @property
    def unnamed(self) -> int:
        """How many were left and are not named."""
        return max(0, sum(self.outcomes.values()) - self.outcomes[self.action] - len(self.named))


class Jobs:
    """Safe to use from any thread."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "job")

    def begin(
        self, action: str, who: Person, total: int, work: Callable[[Job], None], subject: str | None = None
    ) -> Job:
        """Do it when those before it are done."""
        with self._lock:
            job = Job(next(self._numbers), action, who, total, subject=subject)
            self._jobs[job.id] = job
            if len(self._jobs) > MAX_KEPT:
                self._jobs.popitem(last=False)
        self._pool.submit(self._run, job, work)
        return job

    def find(self, number: int) -> Job | None:
        with self._lock:
            return self._jobs.get(number)

    def close(self) -> None:
        """End the job under way after the messages that it has begun."""
        with self._lock:
            for job in self._jobs.values():
                job.stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _run(job: Job, work: Callable[[Job], None]) -> None:
        try:
            work(job)
        except (SqsError, JobRefused) as error:
            job.problem = str(error)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is logged and said)
            job.problem = in_words(error)
            log_defect("job_failed", error, action=job.action)
        finally:
            job.finished.set()


class JobRefused(Exception):
    """It cannot be done; one line for the operator."""
