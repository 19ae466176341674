"""Intake: one source queue, and the parts of the pipeline that it has to itself.

What a message's way ends with (a deletion, a delay, a release) goes to the queue that it came from, because all that
carries it knows no other. And neither a flood of one queue nor what waits in it can take the room of another: each has
its own share of threads and of what may be in flight. The intakes of a worker have the rest in common: the gate, the
pause switch, the connections, and what is known of events that wait for others.
"""

from dataclasses import dataclass

from worker.pipeline.acknowledger import Acknowledger
from worker.pipeline.consumers import Consumers
from worker.pipeline.in_flight import InFlight
from worker.pipeline.visibility_heartbeat import VisibilityHeartbeat
from worker.source_queue import SourceQueue


@dataclass(frozen=True)
class Intake:
    """`threads` is how many there are to run the consumers, `visibility_timeout` is in seconds."""

    source: SourceQueue
    max_attempts: int
    visibility_timeout: int
    threads: int
    in_flight: InFlight
    acknowledger: Acknowledger
    consumers: Consumers
    heartbeat: VisibilityHeartbeat
