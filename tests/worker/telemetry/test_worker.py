"""What a real worker has done is what it tells, on all of its pages and in the log."""

import pytest

from tests.support import command
from tests.support.admin import ADMIN, address, get, samples, status
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.tcp_proxy import TcpProxy
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

SIGN_UP, ACTIVITY = 'type="user.signed_up.v1"', 'type="activity.created.v1"'

TIMEOUT = 60.0  # seconds

# However long this machine stands still, nothing is received twice but what the worker has put off.
pytestmark = pytest.mark.queues(visibility_timeout=43_200)


def assert_metrics(worker: WorkerProcess, expected: dict[str, float]) -> None:
    """Wait until they have these values."""

    def differences() -> dict[str, tuple[float, float | None]]:
        found = samples(worker)
        return {name: (value, found.get(name)) for name, value in expected.items() if found.get(name) != value}

    try:
        wait_until(lambda: not differences(), TIMEOUT, "the metrics say something else")
    except AssertionError as error:
        raise AssertionError(f"expected and found: {differences()}\n{worker}") from error


def test_each_outcome_is_counted_and_shown(queues: Queues, proxy: FaultProxy, start_worker: StartWorker) -> None:
    queues.client.send_message(QueueUrl=queues.dlq_url, MessageBody="dead")
    worker = start_worker(endpoint_url=proxy.endpoint_url, **ADMIN)
    assert_metrics(
        worker,
        {
            'signup_sync_queue_messages{queue="dead_letters",state="visible"}': 1,
            'signup_sync_queue_messages{queue="dead_letters",state="in_flight"}': 0,
            'signup_sync_queue_messages{queue="events",state="visible"}': 0,
        },
    )
    proxy.fail("DeleteMessageBatch", status=403, code="AccessDeniedException", times=1)
    queues.send(sign_up("ada"), sign_up("bob"), activity("ada"), activity("nobody"), "{broken")
    assert_metrics(worker, {f"signup_sync_committed_messages_total{{{SIGN_UP}}}": 2})
    queues.send(sign_up("ada"))

    assert_metrics(
        worker,
        {
            f"signup_sync_committed_messages_total{{{SIGN_UP}}}": 3,
            f"signup_sync_committed_messages_total{{{ACTIVITY}}}": 1,
            f"signup_sync_duplicate_messages_total{{{SIGN_UP}}}": 1,
            f"signup_sync_duplicate_messages_total{{{ACTIVITY}}}": 0,
            'signup_sync_dead_lettered_messages_total{reason="invalid_event"}': 1,
            'signup_sync_dead_lettered_messages_total{reason="unknown_type"}': 0,
            'signup_sync_sqs_calls_total{operation="DeleteMessageBatch",outcome="AccessDeniedException"}': 1,
            'signup_sync_sqs_calls_total{operation="SendMessageBatch",outcome="ok"}': 1,
            "signup_sync_released_messages_total": 0,
            "signup_sync_paused": 0,
        },
    )
    found = samples(worker)
    assert found['signup_sync_sqs_calls_total{operation="ReceiveMessage",outcome="ok"}'] >= 2
    assert found['signup_sync_retried_messages_total{reason="unknown_author"}'] >= 1
    assert found["signup_sync_received_messages_total"] >= 6
    assert found["signup_sync_oldest_received_message_age_seconds"] >= 0
    assert found["signup_sync_lag_seconds_count"] == 3, "a duplicate has no lag"
    assert found["signup_sync_batch_messages_sum"] == 4
    assert found["signup_sync_commit_seconds_sum"] > 0
    assert found["signup_sync_commit_seconds_count"] >= 2
    assert 1 <= found["signup_sync_pool_connections"] <= found["signup_sync_pool_max_connections"] == 3
    assert found["signup_sync_pool_requests_total"] >= 2
    assert found['signup_sync_build_info{version="0.1.0"}'] == 1

    # Again and again it is visible for a moment, and does not wait.
    wait_until(lambda: [one["messages"] for one in status(worker)["waiting"]] == [1], TIMEOUT, "nothing waits")
    assert_metrics(worker, {'signup_sync_waiting_messages{reason="unknown_author"}': 1})
    now = status(worker)
    assert (now["committed_total"], now["dead_lettered_total"], now["version"]) == (4, 1, "0.1.0")
    wait_until(lambda: status(worker)["in_flight"] == 0, TIMEOUT, "something is held that is settled")
    said = command.run("health", environment=command.command_environment({"ADMIN_ADDRESS": address(worker)}))
    assert (said.returncode, said.stdout, said.stderr) == (0, "alive\n", "")
    worker.terminate()
    assert worker.wait() == 0
    assert not [line for line in worker.log if "_aws" in line], "CloudWatch's metrics were not wanted"


def test_an_outage_is_seen_and_its_end(
    postgres: Postgres, database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    with TcpProxy(postgres.port) as network:
        worker = start_worker(database_url=network.through(database_url), **ADMIN)
        wait_until(lambda: get(worker, "/readyz").status == 200, TIMEOUT, "it is not ready")
        queues.send(sign_up("ada"))
        assert_metrics(worker, {"signup_sync_paused": 0, f"signup_sync_committed_messages_total{{{SIGN_UP}}}": 1})

        network.down()
        queues.send(sign_up("bob"))

        assert_metrics(worker, {"signup_sync_paused": 1, "signup_sync_released_messages_total": 1})
        # Nobody knows, while nothing is received.
        assert "signup_sync_oldest_received_message_age_seconds" not in samples(worker)
        reason = worker.wait_for("paused")["reason"]
        assert get(worker, "/readyz").text == f"waiting for the database: {reason}\n"
        assert get(worker, "/livez").status == 200
        now = status(worker)
        assert now["pause_reason"] == reason
        assert now["paused_since"] is not None

        network.up()
        assert_metrics(worker, {"signup_sync_paused": 0, f"signup_sync_committed_messages_total{{{SIGN_UP}}}": 2})
        assert get(worker, "/readyz").status == 200
        assert status(worker)["paused_since"] is None
        worker.terminate()
        assert worker.wait() == 0
