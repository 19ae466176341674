"""Requests of which a load balancer or an issuer says, and signs, whose they are."""

import asyncio
import dataclasses
import http.client
import time
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.datastructures import Headers

from tests.support.invoke import invoke
from tests.worker.console.identity.key_server import (
    ARN,
    AUDIENCE,
    BALANCER_KEY,
    CLAIMS,
    ISSUER_KEY,
    KEY_ID,
    KeyServer,
    balancer_token,
    forged,
    id_token,
    jwk,
    public_pem,
)
from tests.worker.console.operator import Answer, Operator
from tests.worker.console.running_console import ConsoleThread, StartConsole
from worker.console.identity.keys import AlbKeys
from worker.console.identity.people import Person
from worker.console.identity.proxy import NotProved, alb, alb_keys_url, oidc
from worker.console.request import NOT_PROVED

OTHER_ARN = ARN.replace("0123", "4567")
OTHER_BALANCER_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_ISSUER_KEY = rsa.generate_private_key(65537, 2048)


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer() as running:
        running.serve_balancer()
        running.serve_issuer()
        yield running


@pytest.fixture
def behind_alb(start_console: StartConsole, server: KeyServer) -> ConsoleThread:
    return start_console(dataclasses.replace(alb(ARN), keys=AlbKeys(server.url)))


@pytest.fixture
def behind_oidc(start_console: StartConsole, server: KeyServer) -> ConsoleThread:
    return start_console(oidc(server.url, AUDIENCE))


def by_alb(console: ConsoleThread, token: str, path: str = "/audit", **headers: str) -> Answer:
    return Operator(console.address).get(path, **{"x-amzn-oidc-data": token, **headers})


def by_oidc(console: ConsoleThread, token: str, path: str = "/audit", scheme: str = "Bearer") -> Answer:
    return Operator(console.address).get(path, Authorization=f"{scheme} {token}")


def test_whom_the_balancer_names_needs_no_login_and_the_audit_log_says_how_it_is_known(
    behind_alb: ConsoleThread, server: KeyServer
) -> None:
    operator = Operator(behind_alb.address)
    page = operator.get("/feed", **{"x-amzn-oidc-data": balancer_token()})
    operator.csrf = page.csrf
    operator.post("/feed/reveal", headers={"x-amzn-oidc-data": balancer_token()}, follow=False)
    log = by_alb(behind_alb, balancer_token())

    assert (page.status, "set-cookie" in page.headers, "Log out" in page.words) == (200, False, False)
    said = [(line["who"], line["proof"], line["what"]) for line in behind_alb.audit()]
    assert said == [("grace@example.com", "alb", "login"), ("grace@example.com", "alb", "revealed")]
    assert "grace@example.com revealed feed done load balancer" in log.words
    assert server.asked == [f"/{KEY_ID}"]


def test_whom_the_issuer_names_needs_no_login_either(behind_oidc: ConsoleThread, server: KeyServer) -> None:
    answers = [by_oidc(behind_oidc, id_token(server.url), scheme=scheme) for scheme in ("Bearer", "bearer")]

    assert [answer.status for answer in answers] == [200, 200]
    assert [(line["who"], line["proof"], line["what"]) for line in behind_oidc.audit()] == [
        ("grace@example.com", "oidc", "login")
    ]
    assert len(server.asked) == 2


def test_the_login_leads_on_and_takes_no_token(behind_alb: ConsoleThread) -> None:
    assert by_alb(behind_alb, balancer_token(), "/login").headers["location"] == "/"
    answer = Operator(behind_alb.address).post(
        "/login", headers={"x-amzn-oidc-data": balancer_token()}, token=behind_alb.token, who="Eve", follow=False
    )
    assert (answer.status, "set-cookie" in answer.headers) == (405, False)


def test_without_a_signature_nothing_is_answered_not_even_the_login(
    behind_alb: ConsoleThread, behind_oidc: ConsoleThread
) -> None:
    for console in (behind_alb, behind_oidc):
        for path in ("/", "/login", "/audit", "/static/console.css", "/none"):
            answer = Operator(console.address).get(path, Authorization="Basic eDp5")
            assert (answer.status, len(answer.text.splitlines()), answer.headers["www-authenticate"]) == (
                401, 1, "Bearer",
            )  # fmt: skip
            assert "content-security-policy" in answer.headers
    assert behind_alb.audit() == []


def spliced() -> str:
    """The claims of one token under the signature of another one."""
    head, _, signature = balancer_token().split(".")
    return f"{head}.{balancer_token(claims={'sub': 'eve'}).split('.')[1]}.{signature}"


def in_an_hour() -> float:
    return time.time() + 3600


BAD_BALANCER_TOKENS: dict[str, tuple[str, Callable[[], str]]] = {
    "another balancer": ("other_signer", lambda: balancer_token(OTHER_BALANCER_KEY, signer=OTHER_ARN)),
    "another balancer that says it is ours": ("InvalidSignature", lambda: balancer_token(OTHER_BALANCER_KEY)),
    "no signer": ("other_signer", lambda: balancer_token(signer=None)),
    "none": ("other_algorithm", lambda: forged("none", CLAIMS, b"", kid=KEY_ID, signer=ARN, exp=in_an_hour())),
    "the public key as a secret": (
        "other_algorithm",
        lambda: forged("HS256", CLAIMS, public_pem(BALANCER_KEY), kid=KEY_ID, signer=ARN, exp=in_an_hour()),
    ),
    "another algorithm": ("other_algorithm", lambda: balancer_token(alg="ES384")),
    "without expiration": ("no_expiration", lambda: balancer_token(exp=None)),
    "expires when it likes": ("no_expiration", lambda: balancer_token(exp="never")),
    "another key id": ("unknown_key", lambda: balancer_token(kid=KEY_ID.replace("1", "f"))),
    "a path": ("unknown_key", lambda: balancer_token(kid=f"../{KEY_ID}")),
    "an address": ("unknown_key", lambda: balancer_token(kid=f"{KEY_ID}?x=https://evil.example")),
    "a line end": ("unknown_key", lambda: balancer_token(kid=f"{KEY_ID}\n")),
    "an id that is no text": ("no_token", lambda: balancer_token(kid=[KEY_ID])),
    "no id": ("no_key_id", lambda: forged("ES256", CLAIMS, b"", signer=ARN, exp=in_an_hour())),
    "critical": ("no_token", lambda: balancer_token(crit=["x"])),
    "no claims": ("no_name", lambda: balancer_token(claims={})),
    "a name that nobody can see": ("no_name", lambda: balancer_token(claims={"sub": "a\u202eb"})),
    "claims of another token": ("InvalidSignature", spliced),
    "two parts": ("no_token", lambda: balancer_token().rpartition(".")[0]),
    "junk behind": ("no_token", lambda: balancer_token() + "!!!!"),
    "nothing": ("no_token", str),
    "nested": ("no_token", lambda: "[" * 6000),
}


@pytest.mark.parametrize("kind", BAD_BALANCER_TOKENS)
def test_what_the_balancer_has_not_signed_for_us_proves_nothing(server: KeyServer, kind: str) -> None:
    reason, token = BAD_BALANCER_TOKENS[kind]
    proxy = dataclasses.replace(alb(ARN), keys=AlbKeys(server.url))

    with pytest.raises(NotProved, match=reason):
        asyncio.run(proxy.person(Headers({"x-amzn-oidc-data": token()})))
    assert {*server.asked} <= {f"/{KEY_ID}", f"/{KEY_ID.replace('1', 'f')}"}


BAD_ID_TOKENS: dict[str, tuple[str, Callable[[str], str]]] = {
    "another key": ("InvalidSignature", lambda issuer: id_token(issuer, OTHER_ISSUER_KEY)),
    "another key id": ("unknown_key", lambda issuer: id_token(issuer, key_id="second")),
    "another issuer": ("InvalidIssuer", lambda issuer: id_token(f"{issuer}/")),
    "another client": ("InvalidAudience", lambda issuer: id_token(issuer, aud="another-client")),
    "no client": ("MissingRequiredClaim", lambda issuer: id_token(issuer, aud=None)),
    "without expiration": ("MissingRequiredClaim", lambda issuer: id_token(issuer, exp=None)),
    "not yet": ("ImmatureSignature", lambda issuer: id_token(issuer, nbf=int(time.time()) + 600)),
    "none": (
        "other_algorithm",
        lambda issuer: forged("none", {**CLAIMS, "iss": issuer, "aud": AUDIENCE, "exp": 2**40}, b"", kid="first"),
    ),
    "the public key as a secret": (
        "other_algorithm",
        lambda issuer: forged(
            "HS256", {**CLAIMS, "iss": issuer, "aud": AUDIENCE, "exp": 2**40}, public_pem(ISSUER_KEY), kid="first"
        ),
    ),
    "a name that is none": ("no_name", lambda issuer: id_token(issuer, email=None, sub="\u202e")),
}


@pytest.mark.parametrize("kind", BAD_ID_TOKENS)
def test_what_the_issuer_has_not_signed_for_us_proves_nothing(server: KeyServer, kind: str) -> None:
    reason, token = BAD_ID_TOKENS[kind]

    with pytest.raises(NotProved, match=reason):
        asyncio.run(oidc(server.url, AUDIENCE).person(Headers({"authorization": f"Bearer {token(server.url)}"})))


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"sub": "0b0e", "email": "grace@example.com", "email_verified": True}, "grace@example.com"),
        ({"sub": "0b0e", "email": "grace@example.com", "email_verified": "true"}, "grace@example.com"),
        ({"sub": "0b0e", "email": "grace@example.com", "email_verified": False}, "0b0e"),
        ({"sub": "0b0e", "email": "grace@example.com"}, "0b0e"),
        ({"sub": "0b0e", "email": "gr\N{CYRILLIC SMALL LETTER A}ce@example.com", "email_verified": True}, "0b0e"),
    ],
)
def test_an_address_that_nobody_has_verified_is_no_name(
    server: KeyServer, claims: dict[str, object], name: str
) -> None:
    proxy = dataclasses.replace(alb(ARN), keys=AlbKeys(server.url))

    found = asyncio.run(proxy.person(Headers({"x-amzn-oidc-data": balancer_token(claims=claims)})))

    assert found == Person(name, "alb")


def test_who_sends_a_signature_of_somebody_else_is_refused_and_the_audit_log_says_so(behind_alb: ConsoleThread) -> None:
    answers = [by_alb(behind_alb, balancer_token(OTHER_BALANCER_KEY)) for _ in range(20)]

    assert {(answer.status, answer.text) for answer in answers} == {(401, NOT_PROVED)}
    said = [(line["who"], line["proof"], line["subject"], line["outcome"]) for line in behind_alb.audit()]
    assert {*said} == {("nobody", "none", "InvalidSignatureError", "refused")}
    assert len(said) < 10
    assert by_alb(behind_alb, balancer_token()).status == 200


def test_a_signature_that_has_expired_says_so_and_is_no_attempt(
    behind_alb: ConsoleThread, behind_oidc: ConsoleThread, server: KeyServer
) -> None:
    before = int(time.time()) - 31
    for answer in (
        by_alb(behind_alb, balancer_token(exp=before)),
        by_alb(behind_alb, balancer_token(claims={**CLAIMS, "exp": before})),
        by_oidc(behind_oidc, id_token(server.url, exp=before)),
    ):
        assert (answer.status, answer.text) == (401, "the proxy's signature has expired: reload the page\n")
    assert by_alb(behind_alb, balancer_token(exp=before + 11)).status == 200
    assert {line["outcome"] for line in behind_alb.audit()} == {"done"}


def test_a_header_that_is_sent_twice_proves_nothing(behind_alb: ConsoleThread) -> None:
    connection = http.client.HTTPConnection(behind_alb.address.removeprefix("http://"), timeout=30)
    connection.putrequest("GET", "/audit")
    for _ in range(2):
        connection.putheader("x-amzn-oidc-data", balancer_token())
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_each_person_has_a_session_and_forms_of_their_own(behind_alb: ConsoleThread) -> None:
    linus = balancer_token(claims={"sub": "linus"})
    operator = Operator(behind_alb.address)
    operator.csrf = by_alb(behind_alb, balancer_token(), "/feed").csrf

    refused = [
        operator.post("/feed/reveal", headers={"x-amzn-oidc-data": linus}, follow=False),
        operator.post("/feed/reveal", headers={"x-amzn-oidc-data": balancer_token()}, csrf="", follow=False),
        operator.post(
            "/feed/reveal",
            headers={"x-amzn-oidc-data": balancer_token(), "Origin": "http://evil.example"},
            follow=False,
        ),
    ]

    assert [answer.status for answer in refused] == [403] * 3
    assert operator.post("/feed/reveal", headers={"x-amzn-oidc-data": balancer_token()}, follow=False).status == 303
    assert [line["who"] for line in behind_alb.audit() if line["what"] == "revealed"] == ["grace@example.com"]


def test_a_page_of_another_site_can_lead_here_and_ask_for_nothing_else(behind_alb: ConsoleThread) -> None:
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    frame = {**link, "Sec-Fetch-Dest": "iframe"}

    statuses = [by_alb(behind_alb, balancer_token(), **headers).status for headers in (image, frame, link)]

    assert statuses == [403, 403, 200]


def test_names_of_hosts_are_checked_before(behind_alb: ConsoleThread) -> None:
    assert by_alb(behind_alb, balancer_token(), Host="evil.example").status == 421


def test_a_key_that_was_withdrawn_and_a_new_one_are_those_of_the_issuer(
    server: KeyServer, start_console: StartConsole
) -> None:
    server.serve_issuer(jwk(OTHER_ISSUER_KEY, "second"))
    console = start_console(oidc(server.url, AUDIENCE))

    assert by_oidc(console, id_token(server.url)).status == 401
    assert by_oidc(console, id_token(server.url, OTHER_ISSUER_KEY, "second")).status == 200


def test_keys_that_cannot_be_fetched_are_said_to_be_away(start_console: StartConsole, server: KeyServer) -> None:
    server.serve_issuer(issuer="https://evil.example")
    console = start_console(oidc(server.url, AUDIENCE))

    answer = by_oidc(console, id_token(server.url))

    assert (answer.status, len(answer.text.splitlines())) == (503, 1)
    assert [line["problem"] for line in console.log if line["event"] == "issuer_keys_not_fetched"] == [
        "who answers at CONSOLE_OIDC_ISSUER is another issuer"
    ]


def test_the_keys_of_a_balancer_are_those_of_its_region() -> None:
    assert alb_keys_url(ARN) == "https://public-keys.auth.elb.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"CONSOLE_ALB_ARN": "arn:aws:elasticloadbalancing:evil.example/:1"}, "CONSOLE_ALB_ARN should be"),
        ({"CONSOLE_ALB_ARN": ARN.replace("/app/", "/net/")}, "CONSOLE_ALB_ARN should be"),
        ({"CONSOLE_OIDC_ISSUER": "https://idp.example"}, "CONSOLE_OIDC_ISSUER and CONSOLE_OIDC_AUDIENCE"),
        ({"CONSOLE_OIDC_ISSUER": "http://idp.example", "CONSOLE_OIDC_AUDIENCE": "x"}, "CONSOLE_OIDC_ISSUER should be"),
        ({"CONSOLE_OIDC_ISSUER": "https://idp.example?x", "CONSOLE_OIDC_AUDIENCE": "x"}, "CONSOLE_OIDC_ISSUER should"),
        ({"CONSOLE_ALB_ARN": ARN, "CONSOLE_TOKEN": "x" * 32}, "CONSOLE_TOKEN and CONSOLE_ALB_ARN exclude each other"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(
    console_environment: Callable[..., dict[str, str]], settings: dict[str, str], line: str
) -> None:
    ended = invoke("console", environment=console_environment(**settings))

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert line in ended.stderr
