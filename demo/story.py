"""The demo, step by step. Each line is told when what it says has happened, and has been looked up."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from demo.people import CONFIRMED_PASSWORD, Cast, Person
from demo.screen import Screen
from demo.system import System
from signup_sync.publisher import ActivityCreated, Publisher

SOURCE = "/demo/backend"

USERS = """
SELECT uuid::text, cognito_user_id, handle, display_name, email, created_at FROM users ORDER BY created_at
"""
ACTIVITIES = """
SELECT uuid::text, user_uuid::text, message, reply_to_activity_uuid::text, replies_count, created_at
FROM activities ORDER BY created_at
"""


class Story:
    """What happens in the demo, in order."""

    _question: ActivityCreated
    _answer: ActivityCreated
    _early: ActivityCreated

    def __init__(self, system: System, screen: Screen) -> None:
        self._system = system
        self._screen = screen
        self.cast = Cast()
        self._publisher = Publisher(system.queues.events_url, client=system.queues.client)

    def tell(self) -> None:
        """All of it; `AssertionError` if something did not happen."""
        self._migrate()
        self._sign_up()
        self._publish()
        self._start_worker()
        self._late_arrivals()
        self._outage()
        self._end()

    def _migrate(self) -> None:
        version = self._system.query("SHOW server_version")[0][0]
        postgres, sqs = self._system.postgres.port, self._system.queues.endpoint_url.rpartition(":")[2]
        self._screen.tell(f"Postgres {version} listens on port {postgres}, moto's SQS on port {sqs}.")
        self._screen.tell(f"signup-sync db migrate:\n{self._system.run('db', 'migrate').strip()}")

    def _sign_up(self) -> None:
        self._screen.step("People sign up. No worker is running, and they do not notice.")
        for person in (self.cast.ada, self.cast.alan, self.cast.grace):
            self._confirm(person)
        self._system.invoke(self.cast.alan.confirmation(CONFIRMED_PASSWORD))
        self._system.wait(lambda: self._waiting() == 3, "3 messages in the queue")
        self._screen.tell("Alan Turing resets his password: Cognito calls the Lambda again, which sends nothing.")

    def _publish(self) -> None:
        self._screen.step("A backend publishes activities, and everything that can be in the wrong order is.")
        self._question = self._activity(self.cast.ada, "Can it compose music?")
        self._answer = self._activity(self.cast.grace, "Yes, once programmed.", reply_to=self._question)
        self._publisher.publish(self._answer)
        self._screen.tell("Grace's reply is published before what it replies to.")
        self._early = self._activity(self.cast.mary, "Checked the numbers.")
        self._publisher.publish(self._early)
        self._screen.tell("Mary's activity is published before she has signed up.")
        self._publisher.publish_many([self._activity(self.cast.alan, "On computable numbers.")] * 2)
        self._screen.tell("Alan's activity is published twice.")
        self._system.queues.send(broken(self.cast.ada))
        self._screen.tell('An activity of Ada\'s is sent with its "message" misspelt.')
        self._screen.tell(f"{self._waiting()} messages wait in the queue; the tables are empty.")

    def _start_worker(self) -> None:
        self._screen.step("The worker starts.")
        self._system.start_worker()
        self._logged("started")
        self._screen.tell(f"It is process {self._system.worker.pid}.")
        self._system.wait(lambda: self._counts() == (3, 1), "3 users and 1 activity in the tables")
        self._screen.tell("Ada, Alan and Grace are in the table, and Alan's activity, once.")
        self._put_off(self._answer, "Grace's reply")
        self._put_off(self._early, "Mary's activity")
        dead = self._logged("dead_lettered")
        self._screen.tell(f"The misspelt one is in the dead-letter queue: {dead['reason']}.", style="yellow")

    def _late_arrivals(self) -> None:
        self._screen.step("What they wait for arrives.")
        self._publisher.publish(self._question)
        self._screen.tell("Ada's activity is published.")
        self._system.wait(lambda: self._replies() == 1, "Ada's activity and the reply in the table")
        self._screen.tell("It is in the table, and so is Grace's reply; Ada's replies_count is 1.", style="green")
        self._confirm(self.cast.mary)
        self._system.wait(lambda: self._counts() == (4, 4), "Mary and her activity in the tables")
        self._screen.tell("She is in the table, and so is her activity.", style="green")

    def _outage(self) -> None:
        self._screen.step("The database goes away. Sign-ups go on.")
        self._system.postgres.stop()
        stopped_at = self._screen.seconds
        self._screen.tell("Postgres is stopped.", style="red")
        self._confirm(self.cast.other_grace)
        paused = self._logged("paused")
        self._screen.tell(f"The worker has paused: {paused['reason'].rpartition(': ')[2]}.")
        reply = self._activity(self.cast.alan, "And then play chess.", reply_to=self._question)
        self._publisher.publish(reply)
        self._screen.tell("Alan replies to Ada.")
        self._system.wait(lambda: self._waiting() == 2, "2 messages in the queue")
        self._screen.tell("2 messages wait in the queue; the worker asks for none of them.")
        self._system.postgres.start()
        self._screen.tell(f"Postgres is back, after {self._screen.seconds - stopped_at:.1f} s.")
        self._logged("resumed")
        self._screen.tell("The worker has noticed, and resumed.")
        self._system.wait(lambda: self._replies() == 2, "Alan's reply in the table")
        self._system.wait(lambda: self._counts() == (5, 5), "5 users and 5 activities in the tables")
        self._screen.tell("The second Grace and Alan's reply are in the tables: nothing was lost.", style="green")
        self._screen.tell(f'The handle "grace" was taken, whatever its case: hers is "{self._other_handle()}".')

    def _end(self) -> None:
        self._screen.step("What came of it.")
        self._system.wait(lambda: self._waiting() == 0, "an empty queue")
        self._screen.tell("The events queue is empty.")
        self._screen.plain(
            "\nThese are the tables. Ids are cut to 8 characters; columns with nothing to show are left out."
        )
        self._screen.table(
            "users",
            ("uuid", "cognito_\nuser_id", "handle", "display_name", "email", "created_at"),
            [_short(row, ids=(0, 1)) for row in self._system.query(USERS)],
        )
        self._screen.table(
            "activities",
            ("uuid", "user_uuid", "message", "reply_to_\nactivity_uuid", "replies_\ncount", "created_at"),
            [_short(row, ids=(0, 1, 3)) for row in self._system.query(ACTIVITIES)],
        )
        letters = self._system.dead_letters()
        assert [letter["reason"] for letter in letters] == ["invalid_event"], letters
        self._screen.table(
            "dead-letter queue, from `signup-sync dlq list --json`",
            ("id", "reason", "type", "detail"),
            [(letter["id"][:8], letter["reason"], letter["type"], letter["detail"]) for letter in letters],
        )

    def _confirm(self, person: Person) -> None:
        seconds = self._system.invoke(person.confirmation())
        self._screen.tell(f"{person.name} signs up. The Lambda took {seconds * 1000:.0f} ms.")

    def _activity(self, author: Person, message: str, reply_to: ActivityCreated | None = None) -> ActivityCreated:
        parent = reply_to.id if reply_to else None
        return ActivityCreated.new(author=author.sub, message=message, source=SOURCE, reply_to=parent)

    def _put_off(self, event: ActivityCreated, name: str) -> None:
        line = self._logged("retried_later", event_id=str(event.id))
        self._screen.tell(f"{name} is back in the queue, to be tried again: {line['reason']}.", style="yellow")

    def _logged(self, event: str, **fields: object) -> dict[str, Any]:
        return self._system.wait(lambda: self._system.logged(event, **fields), f"the worker's log line {event!r}")

    def _waiting(self) -> int:
        return sum(self._system.queues.counts())

    def _counts(self) -> tuple[int, int]:
        """How many users and activities there are."""
        users, activities = self._system.query(
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM activities)"
        )[0]
        return users, activities

    def _replies(self) -> int:
        """The `replies_count` of Ada's activity, 0 without one."""
        rows = self._system.query(f"SELECT replies_count FROM activities WHERE uuid = '{self._question.id}'")  # noqa: S608
        return sum(count for (count,) in rows)

    def _other_handle(self) -> str:
        sub = self.cast.other_grace.sub
        handle: str = self._system.query(f"SELECT handle FROM users WHERE cognito_user_id = '{sub}'")[0][0]  # noqa: S608
        return handle


def broken(author: Person) -> str:
    """An event that the publisher's checks would not let pass."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": SOURCE,
            "type": "activity.created.v1",
            "time": datetime.now(UTC).isoformat(),
            "data": {"cognito_user_id": author.sub, "mesage": "Is anybody there?"},
        }
    )


def _short(row: tuple[Any, ...], ids: tuple[int, ...]) -> list[object]:
    """A row for the table: ids by their last 8 characters (the first may be a time), and a time of today in UTC."""
    cells = [cell[-8:] if cell and position in ids else cell for position, cell in enumerate(row)]
    return [*cells[:-1], f"{cells[-1]:%H:%M:%S}"]
