"""The whole system as one object that things are done to: workers, queues, a database behind a network, a user pool."""

import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from subprocess import CompletedProcess
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.faults.model import Model
from tests.support import tables
from tests.support.command import command_environment, run
from tests.support.dlq import Dlq
from tests.support.events import activity, deleted, sign_up, updated
from tests.support.fault_proxy import FaultProxy
from tests.support.postgres import Postgres
from tests.support.sqs import Queues, SqsServer, aws_environment, create_queues
from tests.support.tcp_proxy import TcpProxy
from tests.support.user_pool import AdministratedPool, cognito_environment
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess, worker_environment

VISIBILITY_TIMEOUT = 2  # seconds
MAX_RECEIVE_COUNT = 60  # receives, of the queue itself: more than any sequence needs
RECOVERY = 90.0  # seconds
ROUNDS = 12  # replays until all that waited for each other is written, a level of replies each

# Two pairs want the same handle.
PEOPLE = {"ada": "ada", "bob": "bob", "ADA": "ADA", "dora": "Bob", "eve": "eve"}
NAMES = list(PEOPLE)
BROKEN = ("invalid_event", "unknown_type")
TIME = "2026-01-31T12:00:00Z"

# Of somebody's changes, by their numbers: before the sign-up, between it and what a reconciliation knows, and after
# both; some at the same time.
UPDATE_TIMES = [
    "2026-01-31T11:00:00Z",
    "2026-01-31T13:00:00Z",
    "2026-01-31T13:00:00Z",
    "2026-01-31T14:00:00.000001Z",
    "2999-01-31T12:00:00Z",
    "2999-01-31T12:00:00Z",
]
DELETION_TIMES = ["2026-01-31T12:30:00Z", "2026-03-31T12:00:00Z"]


def private(name: str) -> str:
    """A part of all that a person has in their profile, but for the handle, and of nothing else."""
    return f"private-{name}-"


def said(name: str) -> str:
    """The same of what they post."""
    return f"said-{name}-"


class System:
    """`settings` are the workers'. With one attempt what has to wait is dead at once, and an outage renews messages.

    Everything is healed and settled by `settle`, after which `assert_settled` compares the tables with the model.
    """

    def __init__(self, postgres: Postgres, template: str, sqs_server: SqsServer, settings: Mapping[str, str]) -> None:
        self.model = Model()
        self._postgres = postgres
        self._template = template
        self._name = f"sequence_{uuid.uuid4().hex}"
        self._sqs_server = sqs_server
        self._settings = settings
        self._workers: list[WorkerProcess] = []
        self._said: list[str] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.database_url = self._postgres.create_database(self._name, template=self._template)
            stack.callback(self._postgres.drop_database, self._name)
            url = self._sqs_server.endpoint_url
            self.queues: Queues = create_queues(
                url, visibility_timeout=VISIBILITY_TIMEOUT, max_receive_count=MAX_RECEIVE_COUNT
            )
            stack.callback(self.queues.close)
            self.sqs = stack.enter_context(FaultProxy(url))
            self.network = stack.enter_context(TcpProxy(self._postgres.port))
            self.pool = AdministratedPool.create(url)
            stack.callback(self.pool.close)
            self.subs = {name: self._confirm(name, handle) for name, handle in PEOPLE.items()}
            self.start_worker()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.__exit__(None, None, None)
        self._stack.close()

    def _confirm(self, name: str, handle: str) -> str:
        """In the pool: found there by a reconciliation, whatever became of the event, and of the person since."""
        email = f"{private(name)}@example.com"
        sub = self.pool.confirm(name, preferred_username=handle, name=private(name), email=email)
        created = self.pool.cognito.admin_get_user(UserPoolId=self.pool.id, Username=name)["UserCreateDate"]
        self.model.add(
            sign_up(sub, display_name=private(name), handle=handle, email=email).replace(TIME, created.isoformat())
        )
        return sub

    def send_sign_up(self, name: str, copies: int) -> None:
        """What the Cognito trigger sends; none at all is what is lost on the way to the queue."""
        if copies:
            self.queues.send(*[self.model.add(sign_up(self.subs[name], **_profile(name, PEOPLE[name], 0)))] * copies)

    def send_update(self, name: str, number: int, copies: int) -> None:
        """A change has one content for good. The handle is that of before, a new one, or one that others want."""
        handle = [PEOPLE[name], f"new-{name}", "ada"][number % 3]
        body = updated(
            self.subs[name],
            id=str(uuid.UUID(int=100 * (1 + NAMES.index(name)) + number)),
            time=UPDATE_TIMES[number],
            **_profile(name, handle, 1 + number),
        )
        self.queues.send(*[self.model.add(body)] * copies)

    def send_deletion(self, name: str, activities: str, number: int, copies: int) -> None:
        """They stay in the pool: no reconciliation may bring them back."""
        self.model.saw(self.database_url)
        body = deleted(self.subs[name], activities, time=DELETION_TIMES[number])
        self.queues.send(*[self.model.add(body)] * copies)

    def send_activity(self, number: int, author: str, parent: int | None, copies: int) -> None:
        """An activity has one author and one parent for good, whoever sends it again."""
        body = activity(
            self.subs[author],
            f"{said(author)} {number}",
            id=str(uuid.UUID(int=number + 1)),
            reply_to=None if parent is None else str(uuid.UUID(int=parent + 1)),
        )
        if self.subs[author] in self.model.deletions:
            self.model.saw(self.database_url)
        self.queues.send(*[self.model.add(body)] * copies)

    def send_broken(self, kind: int) -> None:
        bodies = ["{broken", "", '{"type": "user.renamed.v1"}', sign_up("mallory", handle="a b"), "[]", '"\u001b[31m"']
        self.queues.send(self.model.add_broken(bodies[kind % len(bodies)] or "-"))

    def start_worker(self, **settings: str) -> None:
        worker = WorkerProcess(
            environment=worker_environment(
                # A statement whose answer does not come is given up soon.
                f"{self.network.through(self.database_url)}?connect_timeout=2&tcp_user_timeout=2000",
                self.queues,
                endpoint_url=self.sqs.endpoint_url,
                settings={"RECEIVE_WAIT_SECONDS": "1", "LOG_LEVEL": "debug", **self._settings, **settings},
            )
        )
        worker.start()
        self._workers.append(worker)

    @property
    def running(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.running]

    def kill_worker(self) -> None:
        """The one that runs for longest."""
        for worker in self.running[:1]:
            worker.kill()
            worker.wait()

    def stop_worker(self) -> None:
        """As ECS does; it must take it well whatever else is wrong, unless it had not even begun."""
        for worker in self.running[:1]:
            try:
                worker.wait_for("started", 60)
            except AssertionError:
                # SQS has refused it four times in a row. It says so and ends: whoever runs it starts it anew.
                assert worker.wait() == 2, worker
                continue
            worker.terminate()
            assert worker.wait() == 0, worker

    def make_read_only(self, *, read_only: bool) -> None:
        """As a failover does."""
        setting = "on" if read_only else "off"
        self._postgres.execute(f"ALTER DATABASE {self._name} SET default_transaction_read_only = {setting}")
        with psycopg.connect(self._postgres.url(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._name]
            )

    def replay(self) -> None:
        """Some may be left, and SQS may fail: any end but a crash will do."""
        self._take(Dlq(self.queues, self.sqs.endpoint_url).run("replay"))

    def reconcile(self) -> None:
        """Against the database itself, and through the faults of SQS."""
        environment = command_environment(
            {
                "QUEUE_URL": self.queues.events_url,
                "DATABASE_URL": self.database_url,
                **aws_environment(self.sqs.endpoint_url),
                **cognito_environment(self.queues.endpoint_url),
            }
        )
        self._take(run("reconcile", "--user-pool-id", self.pool.id, environment=environment))

    def _take(self, done: CompletedProcess[str]) -> None:
        """What a command has said is a log, too."""
        assert done.returncode in (0, 1, 2), done
        assert "Traceback" not in done.stderr, done
        self._said += [done.stdout, done.stderr]

    def heal(self) -> None:
        """All is well again, but for the workers."""
        self.sqs.clear()
        self.network.delay = 0.0
        self.network.thaw()
        self.network.up()
        self.make_read_only(read_only=False)

    def settle(self) -> None:
        """Heal, find what was lost on the way, and replay what has become possible, until all is done."""
        self.heal()
        self.reconcile()
        self._send_missing_parents()
        self.model.saw(self.database_url)
        if self.model.deletions:
            self._let_nobody_wait()
        if not self.running:
            self.start_worker()
        for _ in range(ROUNDS):
            wait_until(self._is_quiet, RECOVERY, "the queue is not empty")
            if {letter.body for letter in self.queues.dead_letters()} == self.model.dead(self.database_url).keys():
                return
            self._take(Dlq(self.queues).run("replay"))
        raise AssertionError("dead letters that could be written are not")

    def _let_nobody_wait(self) -> None:
        """Replies to what is never written would do so for a quarter of an hour."""
        while self.running:
            self.stop_worker()
        self.start_worker(MAX_ATTEMPTS="1")

    def _send_missing_parents(self) -> None:
        """Of somebody who is not deleted, if there is anybody: theirs are written."""
        parents = {activity.reply_to for activity in self.model.activities.values()} - {None}
        author = next((name for name in NAMES if self.subs[name] not in self.model.deletions), NAMES[0])
        for parent in sorted(parents - self.model.activities.keys(), key=str):
            assert parent is not None
            self.send_activity(parent.int - 1, author, None, 1)

    def _is_quiet(self) -> bool:
        assert self.running, "\n".join(map(str, self._workers))
        return not sum(self.queues.counts())

    def assert_settled(self) -> None:
        """The tables are the model's, each dead letter has its reason, and nothing is left of who is deleted."""
        self.model.assert_in(self.database_url)
        letters = self.queues.dead_letters()
        reasons = self.model.dead(self.database_url)
        for letter in letters:
            assert letter.attributes["failure_reason"] in ([reasons[letter.body]] if reasons[letter.body] else BROKEN)
            assert "\n" not in letter.attributes["failure_detail"]
        while self.running:
            self.stop_worker()
        for worker in self._workers:
            assert not worker.events("crashed"), worker
        self._assert_nothing_is_left("\n".join(f"{letter.body} {letter.attributes}" for letter in letters))

    def _assert_nothing_is_left(self, letters: str) -> None:
        """Of anybody in the logs; of who is deleted in any table (what they have said, if it was to be kept) and in any
        message: the other queues are empty."""
        log = "\n".join([*map(str, self._workers), *self._said])
        assert [name for name in NAMES if private(name) in log or said(name) in log] == []
        rows = tables.everything(self.database_url)
        for name in NAMES:
            deletions = self.model.deletions.get(self.subs[name], ())
            if not deletions:
                continue
            assert private(name) not in rows + letters
            assert said(name) not in letters
            assert self.subs[name] not in letters
            assert said(name) not in rows or not any(deletion.erases for deletion in deletions)

    def __str__(self) -> str:
        with psycopg.connect(self.database_url) as connection:
            counts = connection.execute("SELECT count(*) FROM users").fetchall()
        return f"{counts} users, queue {self.queues.counts()}\n" + "\n".join(map(str, self._workers))


def _profile(name: str, handle: str, version: int) -> dict[str, Any]:
    return {
        "display_name": f"{private(name)} {version}",
        "handle": handle,
        "email": f"{private(name)}{version}@example.com",
        "attributes": {"custom:tenant_id": private(name), "locale": f"{private(name)}{version}"},
    }
