"""The README says what is so."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks import record
from benchmarks.markdown import readme_section
from signup_sync.events import ActivityCreated, UserSignedUp, parse_event
from tests.support.sqs import Queues, aws_environment
from worker.settings import WorkerSettings

README = Path(__file__).parents[1] / "README.md"
START = "<!-- settings: kept in step with worker/settings.py by tests/test_readme.py -->\n"
END = "<!-- end of settings -->"


def settings_table() -> str:
    """What belongs between the two comments."""
    rows = [
        f"| `{name.upper()}` | {_default(field.default)} | {field.description} |"
        for name, field in WorkerSettings.model_fields.items()
    ]
    return "\n".join(["| setting | default | what it is |", "| --- | --- | --- |", *rows, ""])


def _default(value: object) -> str:
    if value is None:
        return ""
    return "required" if repr(value) == "PydanticUndefined" else f"`{value}`"


def block(language: str) -> str:
    match = re.search(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    assert match is not None
    return match[1]


def test_the_table_of_settings_is_complete() -> None:
    text = README.read_text()

    written = text.partition(START)[2].partition(END)[0]

    assert written == settings_table(), f"it should be:\n{settings_table()}"


def test_the_results_are_those_that_were_recorded() -> None:
    report = record.recorded_report()
    text = README.read_text()

    written = text.partition(record.README_START)[2].partition(record.README_END)[0]

    assert written == readme_section(report, report.summaries(), record.recorded()["conditions"])


def test_the_python_example_publishes_events(queues: Queues) -> None:
    environment = {**os.environ, **aws_environment(queues.endpoint_url), "QUEUE_URL": queues.events_url}

    subprocess.run([sys.executable, "-c", block("python")], env=environment, check=True)

    bodies = {
        m["Body"] for m in queues.client.receive_message(QueueUrl=queues.events_url, MaxNumberOfMessages=10)["Messages"]
    }
    assert {type(parse_event(body)) for body in bodies} == {ActivityCreated, UserSignedUp}


def test_the_shell_example_is_a_valid_event() -> None:
    body = block("sh").partition("--message-body '")[2].rpartition("'")[0]

    assert isinstance(parse_event(json.dumps(json.loads(body))), ActivityCreated)
