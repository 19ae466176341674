"""What is done while the keeper of the password cannot be asked."""

import subprocess
import sys
import uuid
from pathlib import Path

from tests.support.sqs import SqsServer, aws_environment

ROOT = Path(__file__).parents[2]

# In a process of its own, since boto3 keeps what the environment said at first.
SCRIPT = """
import sys
import boto3
from db.credentials import CredentialsUnavailable, SecretConninfo

client = boto3.client("secretsmanager")
arn = client.create_secret(Name=sys.argv[1], SecretString='{"username": "worker", "password": "the last"}')["ARN"]
asked, never_asked = (SecretConninfo("postgresql://db.example.com/app", arn) for _ in range(2))
print(asked())
client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
print(asked())
try:
    never_asked()
except CredentialsUnavailable as error:
    print(error)
"""


def test_while_a_secret_cannot_be_read_its_last_password_is_used(sqs_server: SqsServer) -> None:
    environment = aws_environment(sqs_server.endpoint_url)
    environment["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = sqs_server.endpoint_url

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"worker-{uuid.uuid4().hex}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    first, again, error = done.stdout.splitlines()
    assert "user=worker password='the last'" in first
    assert again == first
    assert "ResourceNotFoundException" in error
