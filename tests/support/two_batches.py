"""A worker that has one batch begun and one not."""

from collections.abc import Sequence

from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess

HELD = 20.0  # seconds in which even a busy machine gets there


def hold_two_batches(worker: WorkerProcess, queues: Queues, sqs: FaultProxy, bodies: Sequence[str]) -> None:
    """Send messages (11 at most) so that the worker, which reaches its queue by `sqs`, begins to write the first and
    holds the others without having begun.

    The worker has one connection (WRITERS=1), and whoever calls this lets nobody write.
    """
    queues.send(bodies[0])
    wait_until(lambda: queues.counts()[1] == 1, HELD, "the first was not received")
    # Else the next receive would bring the first of the others alone.
    failures = len(worker.events("receive_failed"))
    sqs.fail("ReceiveMessage")
    worker.wait_for("receive_failed", HELD, nth=failures + 1)
    queues.send(*bodies[1:])
    sqs.clear("ReceiveMessage")
    wait_until(lambda: queues.counts()[1] == len(bodies), HELD, "the others were not received")
