"""Makes the queues of compose.yaml, with the same properties as deploy/stacks/queues.yaml gives them.

QUEUE_URL and DLQ_URL name them; the endpoint and the rest are the standard AWS settings.
"""

import json
import os
from typing import Any

import boto3

FOURTEEN_DAYS = "1209600"  # seconds


def main() -> None:
    sqs = boto3.client("sqs")
    common: dict[Any, str] = {
        "MessageRetentionPeriod": FOURTEEN_DAYS,
        "ReceiveMessageWaitTimeSeconds": "20",
        "VisibilityTimeout": "60",
    }
    names = {variable: os.environ[variable].rpartition("/")[2] for variable in ("QUEUE_URL", "DLQ_URL")}
    dead_letters = sqs.create_queue(QueueName=names["DLQ_URL"], Attributes={**common, "MaximumMessageSize": "1048576"})
    arn = sqs.get_queue_attributes(QueueUrl=dead_letters["QueueUrl"], AttributeNames=["QueueArn"])["Attributes"]
    redrive = {"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 8}
    attributes: dict[Any, str] = {**common, "MaximumMessageSize": "262144", "RedrivePolicy": json.dumps(redrive)}
    sqs.create_queue(QueueName=names["QUEUE_URL"], Attributes=attributes)


if __name__ == "__main__":
    main()
