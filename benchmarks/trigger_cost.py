"""What the Lambda costs above what it cannot do without: importing boto3, and one bare `send_message`.

    python -m benchmarks.trigger_cost      needs the Node parts (make e2e)

Both sides in turn in one run; medians of CPU time, so that waiting for the queue does not count.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

from tests.e2e.node_parts import start_fauxqs
from tests.support.sqs import aws_environment, create_queues

ROOT = Path(__file__).parents[1]
ROUNDS = 15
CALLS = 300  # in a round

EVENT = {
    "triggerSource": "PostConfirmation_ConfirmSignUp",
    "userPoolId": "eu-west-1_aBcDeFgHi",
    "userName": "ada",
    "request": {
        "userAttributes": {
            "sub": "5f0c6a4e-0c1d-4a52-9d0e-6f4f1f0f2a11",
            "email": "ada@example.com",
            "name": "Ada Lovelace",
        }
    },
}


def import_milliseconds(module: str) -> float:
    """CPU time of a fresh interpreter that imports `module`, without its start."""
    script = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
    output = subprocess.check_output([sys.executable, "-c", script], cwd=ROOT)  # noqa: S603 (our own script)
    return 1000 * float(output)


def call_rounds() -> None:
    """In the process that has the settings: print a line a round, microseconds of a call, bare and by the handler."""
    import boto3  # noqa: PLC0415 (the process that compares imports must not have it)

    from trigger_lambda import handler  # noqa: PLC0415

    client = boto3.client("sqs")
    body = json.dumps(handler._message(EVENT))  # noqa: SLF001 (the same message without the handler)
    for _ in range(ROUNDS):
        bare = _per_call(lambda: client.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=body))
        whole = _per_call(lambda: handler.handler(EVENT, None))
        print(bare, whole)  # noqa: T201


def _per_call(call: Callable[[], object]) -> float:
    call()
    began = time.process_time()
    for _ in range(CALLS):
        call()
    return 1e6 * (time.process_time() - began) / CALLS


def main() -> None:
    """Print the medians, and the ratio."""
    imports = [(import_milliseconds("boto3"), import_milliseconds("trigger_lambda.handler")) for _ in range(ROUNDS)]
    boto3_ms, handler_ms = (median(column) for column in zip(*imports, strict=True))
    with start_fauxqs() as fauxqs, closing(create_queues(fauxqs.address)) as queues:
        environment = {**os.environ, **aws_environment(fauxqs.address), "QUEUE_URL": queues.events_url}
        output = subprocess.check_output(
            [sys.executable, "-c", "from benchmarks.trigger_cost import call_rounds; call_rounds()"],
            cwd=ROOT,
            env=environment,
            text=True,
        )
    rounds = [tuple(map(float, line.split())) for line in output.splitlines()]
    bare, whole = (median(column) for column in zip(*rounds, strict=True))
    size = (ROOT / "trigger_lambda/handler.py").stat().st_size
    print(f"import: boto3 {boto3_ms:.1f} ms, the handler with it {handler_ms:.1f} ms")  # noqa: T201
    print(f"a call: send_message {bare:.0f} us of CPU, the handler {whole:.0f} us ({whole / bare:.3f})")  # noqa: T201
    print(f"handler.py: {size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
