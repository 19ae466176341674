import json
import re
import socket
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signup_sync.events import UserSignedUp, parse_event
from tests.support.fault_proxy import FaultProxy
from tests.support.ports import free_port
from tests.support.sqs import Queues, aws_environment
from tests.support.texts import ADDRESSES, REAL_NAMES, UNSEEN, UNWANTED
from tests.trigger_lambda.container import Container, Event, Invocation
from trigger_lambda import handler as module
from trigger_lambda.handler import QueueUrlNotSet, enqueue, handler
from worker.text import id_for_logs

ROOT = Path(__file__).parents[2]

# The contract with Cognito, which gives up after 5 (design: 4 s in all; the rest is for a machine that is busy).
PROMISED = 4.5  # seconds

SUB = "0b9f4c1e-6f0e-4c8e-9d55-0a1f2b3c4d5e"
PERSONAL = ("ada@example.com", "Ada Lovelace", "ada_l", "+15555550100")


def sign_up(user_name: str = "ada_l", **attributes: Any) -> Event:
    """A PostConfirmation event (Amazon Cognito Developer Guide, "Post confirmation Lambda trigger")."""
    return {
        "version": "1",
        "region": "us-east-1",
        "userPoolId": "us-east-1_pool",
        "userName": user_name,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "client"},
        "triggerSource": "PostConfirmation_ConfirmSignUp",
        "request": {"userAttributes": {"sub": SUB, "cognito:user_status": "CONFIRMED", **attributes}},
        "response": {},
    }


ADA = sign_up("ada_l", email=PERSONAL[0], name=PERSONAL[1], phone_number=PERSONAL[3])


def environment(endpoint_url: str, **variables: str) -> dict[str, str]:
    return {**aws_environment(endpoint_url), "QUEUE_URL": f"{endpoint_url}/123456789012/events", **variables}


def invoke_once(environment: dict[str, str], event: Event = ADA) -> Invocation:
    with Container(environment) as container:
        return container.invoke(event)


def take_all(queues: Queues) -> list[str]:
    """The bodies in the events queue, which are removed from it."""
    bodies = []
    while messages := queues.client.receive_message(QueueUrl=queues.events_url, MaxNumberOfMessages=10).get("Messages"):
        for taken in messages:
            bodies.append(taken["Body"])
            queues.client.delete_message(QueueUrl=queues.events_url, ReceiptHandle=taken["ReceiptHandle"])
    return bodies


def enqueued(event: Event) -> UserSignedUp:
    """What a sign-up becomes, read by the worker's own models."""
    parsed = parse_event(json.dumps(module._message(event)))  # noqa: SLF001 (what it sends, without sending it)
    assert isinstance(parsed, UserSignedUp)
    return parsed


def test_a_sign_up_becomes_one_message(queues: Queues) -> None:
    before = datetime.now(UTC)

    invocation = invoke_once(environment(queues.endpoint_url, QUEUE_URL=queues.events_url))

    assert (invocation.returned, invocation.log) == (ADA, [])
    (body,) = take_all(queues)
    event = parse_event(body)
    assert isinstance(event, UserSignedUp)
    assert (event.id, event.source, event.specversion) == (SUB, "/cognito/us-east-1_pool", "1.0")
    assert before <= event.time <= datetime.now(UTC)
    assert event.data.model_dump() == {
        "cognito_user_id": SUB,
        "email": "ada@example.com",
        "display_name": "Ada Lovelace",
        "handle": "ada_l",
        "attributes": {},
    }


@pytest.fixture
def without_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler, in this process, can send nothing, and says so when it tries."""
    for name in ("QUEUE_URL", "ON_ENQUEUE_FAILURE", "USER_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "source",
    [
        "PostConfirmation_ConfirmForgotPassword",
        "PreSignUp_SignUp",
        "PostAuthentication_Authentication",
        "PostConfirmation_SomethingNew",
        None,
    ],
)
@pytest.mark.usefixtures("without_queue")
def test_any_other_source_enqueues_nothing(capsys: pytest.CaptureFixture[str], source: str | None) -> None:
    event = ADA | {"triggerSource": source}

    assert handler(event, None) == event

    assert capsys.readouterr().out == ""


FALLBACK = "user-0b9f4c1e"


@pytest.mark.parametrize(
    ("user_name", "attributes", "handle"),
    [
        ("ada_l", {}, "ada_l"),
        ("ada_l", {"preferred_username": "countess"}, "countess"),
        ("ada_l", {"preferred_username": "  "}, "ada_l"),
        ("ada_l", {"preferred_username": "Ada of  the\tLovelaces "}, "Ada-of-the-Lovelaces"),
        ("ada_l", {"preferred_username": "🦊 fox\u3000🦊"}, "🦊-fox-🦊"),
        ("ada_l", {"preferred_username": "a\x00d\ud800a\udfff"}, "ada"),
        ("ada_l", {"preferred_username": "\x00\ud800"}, "ada_l"),
        ("ada_l", {"preferred_username": "\x1b[2Jad\u200b\u00ada\u202e"}, "[2Jada"),
        ("ada_l", {"preferred_username": "\u3164\u2800"}, "ada_l"),
        ("ada_l", {"preferred_username": "\ufe0f" * 64 + "a"}, FALLBACK),
        ("ada_l", {"preferred_username": "\U000e0041"}, "ada_l"),
        ("ada_l", {"preferred_username": "x" * 100}, "x" * 64),
        ("ada_l", {"preferred_username": "ada@example.com"}, "ada_l"),
        ("ada_l", {"preferred_username": 42}, "ada_l"),
        (SUB, {}, FALLBACK),
        (SUB.upper(), {}, FALLBACK),
        ("ada@example.com", {}, FALLBACK),
        ("ada+news@mail.example.co.uk", {}, FALLBACK),
        (f"{'x' * 64}@example.com", {}, FALLBACK),  # what is left of an address that was cut is one, too
        ("ada @ example.com", {}, FALLBACK),
        ("ada\uff20example.com", {}, FALLBACK),
        ("", {}, FALLBACK),
        (f"x{SUB}", {}, f"x{SUB}"),
        ("google_1234567890", {}, "google_1234567890"),
    ],
)
def test_the_handle_is_public_and_has_no_white_space(user_name: str, attributes: dict[str, Any], handle: str) -> None:
    assert enqueued(sign_up(user_name, **attributes)).data.handle == handle


@pytest.mark.parametrize(
    ("attributes", "display_name"),
    [
        ({"name": "Ada Lovelace", "given_name": "A.", "family_name": "L."}, "Ada Lovelace"),
        ({"given_name": "Ada", "family_name": "Lovelace"}, "Ada Lovelace"),
        ({"given_name": " Ada "}, "Ada"),
        ({"family_name": "Lovelace"}, "Lovelace"),
        ({"name": " \t", "given_name": "Ada"}, "Ada"),
        ({}, "ada_l"),
        ({"name": "ada@example.com"}, "ada_l"),
        ({"name": "Ada (ada@example.com)", "given_name": "Ada"}, "Ada"),
        ({"name": f"{'x' * 200}@example.com"}, "ada_l"),
        ({"name": "Ada 🦊\x00\ud83d"}, "Ada 🦊"),
        ({"name": "Ada\r\n\x1b[31mLovelace\u2028"}, "Ada [31mLovelace"),
        ({"name": "\u202eAda\u2066\u00ad L."}, "Ada L."),
        ({"name": "\u3164\u200d", "given_name": "Ada"}, "Ada"),
        ({"name": "carol @ private.example"}, "ada_l"),
        ({"given_name": "carol", "family_name": "\uff20private.example"}, "ada_l"),
        ({"name": "y" * 300}, "y" * 200),
        ({"name": None}, "ada_l"),
    ],
)
def test_the_display_name_is_public(attributes: dict[str, Any], display_name: str) -> None:
    assert enqueued(sign_up(**attributes)).data.display_name == display_name


@pytest.mark.parametrize("name", REAL_NAMES)
def test_a_real_name_stays_as_it_is(name: str) -> None:
    written = enqueued(sign_up(name=name, preferred_username=name)).data

    assert (written.display_name, written.handle) == (name, "-".join(name.split()))


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_is_never_public_however_it_is_written(name: str) -> None:
    written = enqueued(sign_up(name, name=name, preferred_username=name)).data

    assert (written.display_name, written.handle) == (FALLBACK, FALLBACK)


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        (None, None),
        ("", None),
        ("a\x00@example.com", "a@example.com"),
        ("a@b.org\r\nTo: c", "a@b.orgTo: c"),
    ],
)
def test_the_email_address_may_be_missing(email: str | None, expected: str | None) -> None:
    assert enqueued(sign_up(email=email)).data.email == expected


def test_attributes_go_along_that_the_setting_names(monkeypatch: pytest.MonkeyPatch) -> None:
    custom: dict[str, Any] = {"custom:tenant_id": "x" * 3000, "custom:plan": 42}
    event = sign_up(locale=" en\x00-GB\n", zoneinfo="\u200b", **custom)
    assert "attributes" not in module._message(event)["data"]  # noqa: SLF001 (what it sends, without sending it)

    monkeypatch.setenv("USER_ATTRIBUTES", "locale, custom:tenant_id,custom:plan,,zoneinfo,custom:not_given")

    assert enqueued(event).data.attributes == {"locale": "en-GB", "custom:tenant_id": "x" * 2048}


def test_no_more_attributes_go_along_than_an_event_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"custom:{number}" for number in range(60)]
    monkeypatch.setenv("USER_ATTRIBUTES", ",".join(names))

    assert list(enqueued(sign_up(**dict.fromkeys(names, "x"))).data.attributes) == names[:50]


anything = st.text(st.characters(exclude_categories=()), max_size=250)  # lone surrogates, too
addresses = st.builds("{}@{}".format, anything, anything)
tricks = st.lists(st.sampled_from([*REAL_NAMES, *ADDRESSES, *UNWANTED, *UNSEEN]), max_size=99).map("".join)
values = st.one_of(anything, addresses, tricks, st.none(), st.booleans(), st.integers(), st.lists(anything, max_size=2))
names = st.sampled_from(["email", "name", "given_name", "family_name", "preferred_username", "custom:unheard_of"])


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attributes go along."""
    monkeypatch.setenv("USER_ATTRIBUTES", "custom:unheard_of,name")


@pytest.mark.usefixtures("carried")
@given(user_name=st.one_of(anything, addresses, tricks), attributes=st.dictionaries(names, values))
def test_whatever_the_attributes_say_the_worker_can_read_it(user_name: str, attributes: dict[str, Any]) -> None:
    event = sign_up(user_name, **attributes)

    written = enqueued(event)

    assert (written.id, written.data.cognito_user_id) == (SUB, SUB)
    for public in (written.data.handle, written.data.display_name):
        assert not re.search(r"[^\s@]\s*@\s*[^\s@]", unicodedata.normalize("NFKC", public))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=5,
)
# Events that are wrong somewhere: at one of the places that the handler looks at is anything.
places = st.sampled_from([("request",), ("request", "userAttributes"), ("request", "userAttributes", "sub")])
wrong_events = st.builds(
    lambda place, value, others: replaced(ADA, place, value) | others,
    places,
    json_values,
    st.dictionaries(st.sampled_from(["userPoolId", "userName"]), json_values),
)


def replaced(event: Event, place: tuple[str, ...], value: object) -> Event:
    """A copy with `value` at `place`."""
    first, *rest = place
    return {**event, first: replaced(event[first], tuple(rest), value) if rest else value}


@pytest.mark.usefixtures("without_queue")
@given(event=wrong_events)
def test_whatever_is_wrong_with_an_event_it_is_logged_and_returned(
    capsys: pytest.CaptureFixture[str], event: Event
) -> None:
    before = json.dumps(event)

    assert json.dumps(handler(event, None)) == before

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["event"] == "enqueue_failed"
    assert PERSONAL[0] not in line


def check_failure(invocation: Invocation, error: str, code: str | None = None) -> None:
    """The event came back, and one line says what happened and nothing about the person."""
    assert invocation.returned == ADA
    check_log(invocation.log, error, code)


def check_log(log: list[str], error: str, code: str | None = None) -> None:
    (line,) = log
    assert json.loads(line) == {
        "level": "error",
        "event": "enqueue_failed",
        "sub": SUB,
        "user_pool_id": "us-east-1_pool",
        "error": error,
        "code": code,
    }
    assert not [text for text in PERSONAL if text in line]


@pytest.mark.process
def test_an_endpoint_that_is_dead_does_not_keep_anybody_out() -> None:
    check_failure(invoke_once(environment(f"http://127.0.0.1:{free_port()}")), "EndpointConnectionError")


@pytest.mark.process
def test_an_endpoint_that_hangs_does_not_keep_anybody_out() -> None:
    with ExitStack() as stack:
        ports = stack.enter_context(port_that_does_not_answer()), stack.enter_context(port_that_does_not_accept())
        containers = [stack.enter_context(Container(environment(f"http://127.0.0.1:{port}"))) for port in ports]
        executor = stack.enter_context(ThreadPoolExecutor())

        silent, not_accepted = executor.map(invoke_in_time, containers)

    check_failure(silent, "ReadTimeoutError")
    check_failure(not_accepted, "ConnectTimeoutError")


def invoke_in_time(container: Container) -> Invocation:
    """A machine that is busy may take longer than was promised, but not each time."""
    for _ in range(3):
        invocation = container.invoke(ADA)
        if invocation.seconds < PROMISED:
            return invocation
    raise AssertionError(f"it took {invocation.seconds} s")


@contextmanager
def port_that_does_not_answer() -> Iterator[int]:
    """Connections are made, and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


@contextmanager
def port_that_does_not_accept() -> Iterator[int]:
    """Its queue of connections is full, so that nobody is answered any more."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_an_endpoint_that_answers_one_request_in_three_is_good_enough(queues: Queues) -> None:
    with FaultProxy(queues.endpoint_url) as proxy:
        proxy.fail("SendMessage", status=503, code="ServiceUnavailable", times=1)
        proxy.drop_request("SendMessage", times=1)
        with Container(environment(proxy.endpoint_url, QUEUE_URL=queues.events_url)) as container:
            invocation = container.invoke(ADA)

        assert (invocation.returned, invocation.log) == (ADA, [])
        assert proxy.calls == {"SendMessage": 3}
    assert len(take_all(queues)) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDeniedException"), (503, "ServiceUnavailable"), (400, "ThrottlingException")]
)
def test_it_tries_three_times_and_no_more(queues: Queues, status: int, code: str) -> None:
    """Nor does boto3, which would try some of them again by itself."""
    with FaultProxy(queues.endpoint_url) as proxy:
        proxy.fail("SendMessage", status=status, code=code, message=f"{PERSONAL} may not")

        invocation = invoke_once(environment(proxy.endpoint_url, QUEUE_URL=queues.events_url))

        check_failure(invocation, "ClientError", code)
        assert proxy.calls == {"SendMessage": 3}


def test_a_failure_is_not_remembered(queues: Queues) -> None:
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(queues.endpoint_url))
        container = stack.enter_context(Container(environment(proxy.endpoint_url, QUEUE_URL=queues.events_url)))
        proxy.down()
        check_failure(container.invoke(ADA), "EndpointConnectionError")
        proxy.up()
        assert container.invoke(ADA).log == []
    assert len(take_all(queues)) == 1


@pytest.mark.usefixtures("without_queue")
def test_a_function_without_its_queue_lets_everybody_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert handler(ADA, None) == ADA

    check_log(capsys.readouterr().out.splitlines(), "QueueUrlNotSet")


@pytest.mark.usefixtures("without_queue")
def test_another_function_enqueues_by_calling_it(capsys: pytest.CaptureFixture[str]) -> None:
    """As docs/existing-pool.md says: nothing is answered, nothing raised, and a failure is in that function's log."""
    event = deepcopy(ADA)

    enqueue(event)

    assert event == ADA
    assert json.loads(capsys.readouterr().out)["event"] == "enqueue_failed"


def test_an_event_without_a_sub_is_logged_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    event = sign_up(email=PERSONAL[0])
    del event["request"]["userAttributes"]["sub"]

    assert handler(event, None) == event

    (line,) = capsys.readouterr().out.splitlines()
    assert {"event": "enqueue_failed", "error": "KeyError", "sub": None}.items() <= json.loads(line).items()
    assert PERSONAL[0] not in line


@pytest.mark.usefixtures("without_queue")
def test_a_sub_that_is_no_uuid_is_logged_by_its_hash(capsys: pytest.CaptureFixture[str]) -> None:
    event = sign_up()
    event["request"]["userAttributes"]["sub"] = PERSONAL[0]

    assert handler(event, None) == event

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["sub"] == id_for_logs(PERSONAL[0]) != PERSONAL[0]
    assert PERSONAL[0] not in line


@pytest.mark.usefixtures("without_queue")
def test_who_wants_failures_raised_gets_them_raised_and_logged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ON_ENQUEUE_FAILURE", "raise")

    with pytest.raises(QueueUrlNotSet):
        handler(ADA, None)

    check_log(capsys.readouterr().out.splitlines(), "QueueUrlNotSet")


IMPORTED = """
import sys
import boto3, botocore.config
boto3.client("sqs").close()
before = set(sys.modules)
from trigger_lambda.handler import handler
handler(EVENT, None)
print(*{name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)
"""


@pytest.mark.process
def test_the_function_needs_nothing_but_boto3() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.replace("EVENT", repr(ADA))],
        cwd=ROOT,
        env=environment("http://127.0.0.1:1"),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1].split() == ["trigger_lambda"]
