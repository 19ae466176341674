"""The dead-letter queue as an operator's commands find it, and the commands."""

import json
import subprocess
from typing import Any

from tests.support import command
from tests.support.events import sign_up
from tests.support.invoke import invoke, invoke_on_terminal
from tests.support.sqs import BATCH_SIZE, Queues, aws_environment
from tests.support.wait import wait_until

LEASE_TIMEOUT = 60.0  # seconds: a message that a killed command held is visible again after 15

_LINE_ERASED = "\x1b[2K"


class Dlq:
    """`signup-sync dlq`, on a pair of queues; `endpoint_url` leads its commands elsewhere, and not the tests.

    Commands run in the tests' own process, unless a method says otherwise: for what only a process has, such as its
    signals.
    """

    def __init__(self, queues: Queues, endpoint_url: str | None = None) -> None:
        self.queues = queues
        self.environment = command.command_environment(
            {**queues.settings, **aws_environment(endpoint_url or queues.endpoint_url)}
        )

    def fill(
        self, *bodies: str, reason: str | None = "attempts_exhausted", detail: str = "tried in vain", **attributes: str
    ) -> list[str]:
        """Put dead letters there as the worker does, or as SQS does (reason None), and return their ids.

        `attributes` are message attributes that they have besides.
        """
        ids = []
        for start in range(0, len(bodies), BATCH_SIZE):
            answer = self.queues.client.send_message_batch(
                QueueUrl=self.queues.dlq_url,
                Entries=[
                    {
                        "Id": str(index),
                        "MessageBody": body,
                        "MessageAttributes": _attributes(reason, detail, attributes),
                    }
                    for index, body in enumerate(bodies[start : start + BATCH_SIZE])
                ],
            )
            assert not answer.get("Failed"), answer
            ids += [sent["MessageId"] for sent in sorted(answer["Successful"], key=lambda sent: int(sent["Id"]))]
        return ids

    def delete(self, message_id: str) -> None:
        """Delete one of the visible dead letters."""
        url, client = self.queues.dlq_url, self.queues.client
        answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH_SIZE, VisibilityTimeout=0)
        [handle] = [found["ReceiptHandle"] for found in answer["Messages"] if found["MessageId"] == message_id]
        client.delete_message(QueueUrl=url, ReceiptHandle=handle)

    def run(self, *args: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return invoke("dlq", *args, environment=self._with(variables), stdin=stdin)

    def run_on_terminal(self, *args: str, stdin: str = "", **variables: str) -> str:
        """Run a command to its end, and return what it wrote on the terminal."""
        status, seen, _ = invoke_on_terminal("dlq", *args, environment=self._with(variables), stdin=stdin)
        assert status in (0, 1), seen
        return seen

    def run_process(self, *args: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as a process."""
        return command.run("dlq", *args, environment=self._with(variables), stdin=stdin)

    def start(self, *args: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command as a process, which the test ends."""
        return command.start("dlq", *args, environment=self._with(variables))

    def start_at(self, *args: str, stdin: int, **variables: str) -> subprocess.Popen[str]:
        """Start a command as a process whose standard input is a terminal, for one, and which the test ends."""
        return command.start("dlq", *args, environment=self._with(variables), stdin=stdin)

    def json(self, *args: str) -> list[dict[str, Any]]:
        """What a command prints with `--json`."""
        done = self.run(*args, "--json")
        assert done.returncode == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]

    def visible(self) -> int:
        """How many dead letters anybody can receive now."""
        return self._counts()[0]

    def held(self) -> int:
        """How many dead letters somebody has received."""
        return self._counts()[1]

    def wait_until_all_visible(self) -> None:
        """Until what a killed command held can be received again."""
        wait_until(lambda: self.held() == 0, LEASE_TIMEOUT, "dead letters stayed invisible")

    def dead_bodies(self) -> list[str]:
        """All visible messages of the dead-letter queue, sorted."""
        return sorted(letter.body for letter in self.queues.dead_letters())

    def event_bodies(self) -> list[str]:
        """All messages of the events queue, sorted; they are deleted."""
        return self._take_bodies(self.queues.events_url)

    def activity_bodies(self) -> list[str]:
        """The same of the activities queue."""
        assert self.queues.activities_url is not None
        return self._take_bodies(self.queues.activities_url)

    def _take_bodies(self, url: str) -> list[str]:
        bodies = []
        client = self.queues.client
        while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH_SIZE).get("Messages"):
            bodies += [message["Body"] for message in messages]
            client.delete_message_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                    for index, message in enumerate(messages)
                ],
            )
        return sorted(bodies)

    def _with(self, variables: dict[str, str]) -> dict[str, str]:
        return command.command_environment({**self.environment, **variables})

    def _counts(self) -> tuple[int, int]:
        answer = self.queues.client.get_queue_attributes(QueueUrl=self.queues.dlq_url, AttributeNames=["All"])
        counts = answer["Attributes"]
        return int(counts["ApproximateNumberOfMessages"]), int(counts["ApproximateNumberOfMessagesNotVisible"])


def _attributes(reason: str | None, detail: str, others: dict[str, str]) -> dict[str, Any]:
    texts = {"tenant": "north", **others}
    own = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}
    if reason is None:
        return own
    failure = {
        "failure_reason": reason,
        "failure_detail": detail,
        "failed_at": "2026-01-31T12:00:00.000Z",
        "receive_count": "5",
        "source_message_id": "11111111-2222-3333-4444-555555555555",
    }
    return own | {name: {"DataType": "String", "StringValue": value} for name, value in failure.items()}


def below_progress(seen: str) -> str:
    """What a terminal shows when the progress bar is gone."""
    return seen.rpartition(_LINE_ERASED)[2]


def people(count: int) -> list[str]:
    """The sign-ups of so many."""
    return sorted(sign_up(f"user-{number}") for number in range(count))
