import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger_lambda import handler
from worker.text import id_for_logs


@pytest.mark.parametrize(
    "event_id",
    [
        "0b9f4c1e-6f0e-4c8e-9d55-0a1f2b3c4d5e",
        "0190163d-8694-739b-aea5-966c26f8ad91",  # version 7
        "0B9F4C1E-6F0E-4C8E-9D55-0A1F2B3C4D5E",
    ],
)
def test_a_uuid_is_logged_as_it_is(event_id: str) -> None:
    assert id_for_logs(event_id) == event_id


def test_any_other_id_is_logged_by_its_hash_as_the_runbook_finds_it() -> None:
    # printf %s carol@private.example | sha256sum | cut -c 1-12
    assert id_for_logs("carol@private.example") == "sha256:a0c67a2430cd"


@given(st.text(max_size=128))
def test_nothing_of_an_id_that_is_no_uuid_is_logged_and_the_lambda_logs_the_same(event_id: str) -> None:
    assert id_for_logs(event_id) == f"sha256:{hashlib.sha256(event_id.encode()).hexdigest()[:12]}"
    event = {"request": {"userAttributes": {"sub": event_id}}}
    assert handler._sub(event) == id_for_logs(event_id)  # noqa: SLF001 (what it logs, without a failure)
