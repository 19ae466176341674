"""How SQS is connected to, and what is said when it does not let us."""

import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from signup_sync.sqs import sqs_error
from tests.support.sqs import aws_environment

ROOT = Path(__file__).parents[2]

# In a process of its own, since boto3 asks the environment.
SCRIPT = "from signup_sync.sqs import connect; print(connect(wait_seconds=20).meta.config.read_timeout)"


@pytest.mark.process
def test_a_long_poll_has_time_to_end() -> None:
    environment = aws_environment("http://127.0.0.1:1")

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert float(done.stdout) >= 20 + 5


def test_the_permission_that_is_missing_is_one_that_there_is() -> None:
    """Batch calls have none of their own (Amazon SQS Developer Guide, "Amazon SQS API permissions")."""
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch")

    said = str(sqs_error("send_message_batch", denied))

    assert "sqs:SendMessage" in said
    assert "sqs:SendMessageBatch" not in said
