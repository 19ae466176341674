"""Who may do what, and what a page lets through."""

import re
from collections.abc import Callable
from contextlib import closing
from urllib.parse import quote

import pytest

from tests.support import command
from tests.support.dlq import Dlq
from tests.support.events import activity, sign_up
from tests.support.invoke import invoke
from tests.support.sqs import Queues, create_queues
from tests.support.tables import write
from tests.support.wait import wait_until
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleProcess, ConsoleThread, StartConsole
from worker.cli.refused import Refused
from worker.console.audit import MAX_REFUSED, MAX_SHOWN, REFUSED, Audit
from worker.console.identity.people import NOBODY, Person
from worker.console.request import NOT_BY_THIS_NAME

SHOWN = re.compile(r'name="id" value="([^"]+)"').findall
KEY = "correct-horse-battery-staple-correct-horse"

PAGES = ["/", "/letters", "/letters/news", "/letters/x", "/letters/x/edit", "/jobs/1", "/users", "/feed", "/audit"]
FORMS = [
    "/logout", "/hide", "/letters/look", "/letters/confirm", "/letters/act", "/letters/copy", "/letters/x/reveal",
    "/letters/x/open", "/letters/x/check", "/letters/x/send", "/users", "/users/reveal", "/users/enqueue",
    "/users/erase", "/feed/reveal", "/letters/set", "/letters/set/send", "/letters/search", "/pause", "/resume",
]  # fmt: skip


def test_without_a_session_every_page_and_every_form_leads_to_the_login(console: ConsoleThread) -> None:
    stranger = Operator(console.address)

    answers = [stranger.get(path) for path in PAGES]
    answers += [stranger.post(path, follow=False, csrf="x") for path in FORMS]

    assert {(answer.status, answer.headers["location"]) for answer in answers} == {(303, "/login")}


def test_the_link_that_is_printed_opens_it_once_and_another_token_does_not(
    start_console_process: Callable[..., ConsoleProcess],
) -> None:
    console = start_console_process()
    stranger = Operator(console.address)

    refused = stranger.post("/login", token="x" * 43, who="Eve", follow=False)

    assert (refused.status, stranger.cookie) == (403, "")
    assert "That is not the token" in refused.words
    page = stranger.get(console.link.removeprefix(console.address))
    assert page.status == 200
    assert f'name="token" value="{console.token}"' in page.text
    first = console.token
    assert stranger.log_in(first).get("/").status == 200
    wait_until(lambda: console.token != first, 30, "no other link is printed")
    again = Operator(console.address).post("/login", token=first, who="Eve", follow=False)
    assert (again.status, "its link has been used" in again.words) == (403, True)
    assert Operator(console.address).log_in(console.token, "Linus").get("/").status == 200
    console.interrupt()
    assert console.wait() == 0
    refused_and_done = [("login", "refused"), ("login", "done")]
    assert [(line["what"], line["outcome"]) for line in console.log] == refused_and_done * 2


def test_a_token_of_the_settings_is_never_printed(start_console_process: Callable[..., ConsoleProcess]) -> None:
    console = start_console_process(CONSOLE_TOKEN=KEY)

    assert [Operator(console.address).log_in(KEY).get("/").status for _ in range(2)] == [200] * 2
    assert console.link == f"{console.address}/login"
    console.terminate()
    assert console.wait() == 0
    assert KEY not in str(console)


def test_a_name_is_needed_for_the_audit_log(console: ConsoleThread) -> None:
    for who in ("", " ", "<b>", "x" * 65, "a\nb"):
        answer = Operator(console.address).post("/login", token=console.token, who=who, follow=False)
        assert (answer.status, "Give a name" in answer.words) == (403, True)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"CONSOLE_TOKEN": "short"}, "CONSOLE_TOKEN should be 32 characters or more"),
        ({"CONSOLE_ADDRESS": "8765"}, "CONSOLE_ADDRESS should be a host and a port, such as 127.0.0.1:8765"),
        ({"CONSOLE_HOSTS": "ops.example.com:443"}, "CONSOLE_HOSTS should be names of hosts"),
        ({"WORKER_URLS": "worker:9090"}, "WORKER_URLS should be URLs"),
        ({"WORKER_URLS": "http://worker:99999"}, "WORKER_URLS should be URLs"),
        ({"WORKER_URLS": "http://[::1:9090"}, "WORKER_URLS should be URLs"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(
    console_environment: Callable[..., dict[str, str]], settings: dict[str, str], line: str
) -> None:
    ended = invoke("console", environment=console_environment(**settings))

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert line in ended.stderr
    assert "short" not in ended.stderr.partition("should")[2]


def test_an_address_that_is_not_of_this_machine_is_one_line(
    console_environment: Callable[..., dict[str, str]],
) -> None:
    ended = command.run("console", environment=console_environment(CONSOLE_ADDRESS="192.0.2.1:8765"))

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert "CONSOLE_ADDRESS 192.0.2.1:8765: " in ended.stderr


def test_two_queues_that_do_not_belong_together_are_refused(start_console: StartConsole, queues: Queues) -> None:
    with closing(create_queues(queues.endpoint_url)) as others:
        for dlq_url, problem in (
            (queues.events_url, "are the same queue"),
            (others.dlq_url, "is not the dead-letter queue of QUEUE_URL"),
        ):
            with pytest.raises(Refused, match=problem):
                start_console(DLQ_URL=dlq_url)


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(console: ConsoleThread) -> None:
    answer = Operator(console.address).post("/login", token=console.token, who="Grace", follow=False)

    attributes = {part.strip() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} < attributes
    assert not any(part.startswith("Domain") for part in attributes)


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
def test_a_browser_that_has_come_by_https_sends_the_cookie_by_nothing_else(
    console: ConsoleThread, scheme: str, secure: bool
) -> None:
    origin = console.address.replace("http", scheme)
    answer = Operator(console.address).post(
        "/login", headers={"Origin": origin}, token=console.token, who="Grace", follow=False
    )

    assert ("Secure" in answer.headers["set-cookie"]) == secure


OUR_NAMES = [
    "127.0.0.1:1",
    "localhost",
    "LOCALHOST:8765",
    "[::1]:8765",
    "console",
    "console.internal",
    "ops.example.com:443",
]
FOREIGN_NAMES = [
    "evil.example",
    "127.0.0.1.evil.example",
    "ops.example.com.evil.example:8765",
    "localhost.evil.example",
]


def test_under_a_name_that_anybody_could_have_it_answers_nobody(start_console: StartConsole) -> None:
    console = start_console(CONSOLE_HOSTS="ops.example.com, Other.example.com")
    operator = Operator(console.address).log_in(console.token)

    answers = {host: operator.get("/audit", Host=host) for host in [*OUR_NAMES, *FOREIGN_NAMES]}
    posted = operator.post("/login", headers={"Host": "evil.example"}, token=console.token, who="Eve", follow=False)

    assert {host for host, answer in answers.items() if answer.status == 200} == {*OUR_NAMES}
    assert {host for host, answer in answers.items() if answer.status == 421} == {*FOREIGN_NAMES}
    assert answers["evil.example"].text == NOT_BY_THIS_NAME
    assert "content-security-policy" in answers["evil.example"].headers
    assert (posted.status, "set-cookie" in posted.headers) == (421, False)


def test_logging_out_ends_the_session_and_not_only_the_cookie(console: ConsoleThread, operator: Operator) -> None:
    cookie = operator.cookie

    operator.post("/logout")

    operator.cookie = cookie
    assert operator.get("/").headers["location"] == "/login"
    assert [line["what"] for line in console.audit()] == ["login", "logout"]


def test_a_form_that_is_not_of_this_session_does_nothing(operator: Operator, dlq: Dlq) -> None:
    [message_id] = dlq.fill(sign_up("ada"))
    operator.post("/letters/look")
    token = operator.csrf
    plan = _plan(operator.post("/letters/confirm", id=message_id, action="deleted").text)

    refused = [
        operator.post("/letters/act", plan=plan, csrf=""),
        operator.post("/letters/act", plan=plan, csrf=token[:-1]),
        operator.post("/letters/act", plan=plan, headers={"Origin": "http://evil.example"}),
        operator.post("/letters/act", plan=plan, headers={"Origin": "null"}),
        operator.post("/letters/act", plan=plan, headers={"Sec-Fetch-Site": "same-site"}),
    ]

    assert [answer.status for answer in refused] == [403] * 5
    assert dlq.queues.dead_letter_count() == 1
    assert "1 deleted" in operator.post("/letters/act", plan=plan).words


def test_every_answer_forbids_everything_that_is_not_its_own(operator: Operator) -> None:
    answers = [operator.get(path) for path in [*PAGES, "/login", "/nowhere", "/static/console.js"]]

    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert {answer.headers["cache-control"] for answer in answers[:-1]} == {"no-store"}


def test_no_page_has_anything_inline_or_an_address_outside_of_its_origin(operator: Operator, dlq: Dlq) -> None:
    [message_id] = dlq.fill(sign_up("ada", handle="a b"))
    operator.post("/letters/look")
    operator.post(f"/letters/{message_id}/open")
    paths = [
        "/",
        "/letters",
        f"/letters/{message_id}",
        f"/letters/{message_id}/edit",
        "/users?id=ada",
        "/feed",
        "/audit",
    ]

    for text in [operator.get(path).text for path in paths]:
        assert not re.search(r"<style|<script(?! src=\"/static/)|\sstyle=|\son[a-z]+=|javascript:|https?://", text)


def test_a_read_only_console_shows_everything_and_changes_nothing(start_console: StartConsole, dlq: Dlq) -> None:
    [message_id] = dlq.fill(sign_up("ada"))
    console = start_console(CONSOLE_READ_ONLY="true")
    operator = Operator(console.address).log_in(console.token)

    pages = [operator.get("/letters"), operator.get(f"/letters/{message_id}"), operator.get("/users?id=ada")]
    refused = [
        operator.post("/letters/confirm", id=message_id, action="deleted"),
        operator.post("/letters/act", plan="x"),
        operator.post(f"/letters/{message_id}/send", text="{}"),
        operator.post("/users/enqueue", sub="ada"),
        operator.post("/users/erase", sub="ada", typed="ada"),
    ]

    assert [page.status for page in pages] == [200] * 3
    assert not any(
        re.search(r">(Replay|Delete|Edit and replay|Enqueue their sign-up|Erase)<", page.text) for page in pages
    )
    assert "ada@example.com" in operator.post(f"/letters/{message_id}/reveal").words
    assert {(answer.status, "CONSOLE_READ_ONLY" in answer.text) for answer in refused} == {(403, True)}
    assert dlq.queues.dead_letter_count() == 1


def test_a_form_without_end_is_refused(operator: Operator) -> None:
    assert operator.post("/users", name="x" * 9_000_000).status == 413
    assert operator.post("/users", id=["x"] * 12_001).status == 400


def test_a_page_that_is_not_there_is_a_page(operator: Operator) -> None:
    for path in ("/nowhere", "/letters/nowhere", "/jobs/99", "/feed?before=x", "/static/nowhere.js"):
        answer = operator.get(path)
        assert (answer.status, "That did not work" in answer.words) == (404, True)


def test_the_log_says_who_did_what_and_nothing_that_people_wrote(
    console: ConsoleThread, operator: Operator, dlq: Dlq, database_url: str
) -> None:
    write(database_url, sign_up("linus"), activity("linus", "what linus wrote"))
    mended, deleted = dlq.fill(sign_up("ada", handle="a b"), sign_up("charles"))
    [odd] = dlq.fill('{"id": "odd@example.com", "type": "user.signed_up.v1", "data": {"email": "odd@example.com"}}')
    operator.post("/letters/look")
    for path in ("/", "/letters?text=ada@example.com", "/feed", "/users?id=linus", f"/letters/{odd}"):
        assert operator.get(path).status == 200

    operator.post("/users", name="linus@example.com")
    operator.post("/users/reveal", sub="linus")
    operator.post("/users/reveal", sub="odd@example.com")
    operator.post("/feed/reveal")
    operator.post(f"/letters/{mended}/open")
    text = sign_up("ada", handle="ada")
    checked = _checked(operator.post(f"/letters/{mended}/check", text=text).text)
    operator.post(f"/letters/{mended}/send", text=text, checked=checked)
    plan = _plan(operator.post("/letters/confirm", id=deleted, action="deleted").text)
    operator.post("/letters/act", plan=plan)

    console.wait_for_audit("deleted")
    done = [(line["what"], line["subject"]) for line in console.audit()]
    assert done == [
        ("login", ""),
        ("searched", "masked"),
        ("looked_up", "linus"),
        ("looked_up", "linus"),
        ("revealed", "linus"),
        ("looked_up", "linus"),
        ("revealed", "not_shown"),
        ("looked_up", "not_shown"),
        ("revealed", "feed"),
        ("revealed", mended),
        ("edited", mended),
        ("deleted", deleted),
    ]
    assert {line["who"] for line in console.audit()} == {"Grace"}
    assert "@" not in str(console.log)
    assert "wrote" not in str(console.log)
    log = operator.get("/audit").words
    assert f"Grace deleted {deleted} deleted" in log
    assert "@" not in log


def _plan(text: str) -> str:
    found = re.search(r'action="/letters/act".*?name="plan" value="([^"]+)"', text, re.DOTALL)
    assert found is not None, text
    return found[1]


def _checked(text: str) -> str:
    found = re.search(r'name="checked" value="([^"]+)"', text)
    assert found is not None, text
    return found[1]


def test_what_is_masked_cannot_be_searched_until_somebody_reveals_it(
    console: ConsoleThread, operator: Operator, dlq: Dlq
) -> None:
    [ada] = dlq.fill(sign_up("ada", email="countess@example.org"))
    [post] = dlq.fill(activity("ada", "M\u00fcll"))
    operator.post("/letters/look")

    def shown(text: str) -> list[str]:
        return SHOWN(operator.get(f"/letters?text={quote(text)}").text)

    for part in ('"email": "c', "countess", "example.org", "m\u00fcll", "display"):
        assert shown(part) in ([], [ada])
        assert (shown(part) == [ada]) is (part == "display")  # a key, which is not masked
    assert SHOWN(operator.post("/letters/confirm", text="countess", action="replayed").text) == []
    assert operator.post("/letters/confirm", text="countess", action="replayed").status == 400

    assert SHOWN(operator.post("/letters/search", text="countess").text) == [ada]
    assert shown("m\u00fcll") == [post]
    operator.post("/hide")
    assert shown("countess") == []
    said = [(line["what"], line["subject"], line["outcome"]) for line in console.audit()]
    assert ("searched", "masked", "0_found") in said
    assert ("searched", "personal_data", "1_found") in said
    assert ("revealed", "search", "done") in said
    assert all("countess" not in str(line) for line in console.audit())


def test_an_address_is_found_whole_or_not_at_all_and_who_asked_is_written_down(
    console: ConsoleThread, operator: Operator, dlq: Dlq
) -> None:
    dlq.fill(sign_up("ada", handle="a b", email="countess@example.org"), '"grace@example.org (formerly)"')
    operator.post("/letters/look")

    for whole in ("countess@example.org", "Grace@Example.org"):
        assert (
            "invalid_event" in operator.post("/users", name=whole).words
            or "unreadable" in operator.get("/letters").words
        )
    for part in ("countess@exam", "ountess@example.org", "countess@example.or", "countess@example", "ace@example.org"):
        assert "Nobody of that name was found" in operator.post("/users", name=part).words, part

    looked = [(line["subject"], line["outcome"]) for line in console.audit() if line["what"] == "looked_up"]
    assert looked[0] == ("ada", "1_found")
    assert looked[-1] == ("", "0_found")
    assert len(looked) == 7


@pytest.mark.parametrize("settings", [{}, {"CONSOLE_READ_ONLY": "true"}])
def test_the_editor_says_nothing_of_what_is_masked(
    start_console: StartConsole, dlq: Dlq, settings: dict[str, str]
) -> None:
    console = start_console(**settings)
    operator = Operator(console.address).log_in(console.token)
    [ada] = dlq.fill(sign_up("ada", email="countess@example.org"))
    operator.post("/letters/look")

    for headers in ({}, {"X-Part": "check"}):
        answer = operator.post(f"/letters/{ada}/check", text="{}", headers=headers)
        assert (answer.status, "countess" in answer.text) == (403, False)
    assert operator.post(f"/letters/{ada}/send", text="{}").status == 403

    operator.post(f"/letters/{ada}/reveal")
    assert "countess@example.org" in operator.post(f"/letters/{ada}/check", text="{}").text
    assert [line["subject"] for line in console.audit() if line["what"] == "revealed"] == [ada]


def test_the_audit_log_is_written_whatever_the_level(start_console_process: Callable[..., ConsoleProcess]) -> None:
    console = start_console_process(LOG_LEVEL="error")

    Operator(console.address).log_in(console.token).post("/feed/reveal")
    console.interrupt()

    assert console.wait() == 0
    assert [line["what"] for line in console.log if line["event"] == "audit"] == ["login", "revealed"]


def test_refused_logins_push_nothing_out_of_the_audit_log(console: ConsoleThread, operator: Operator) -> None:
    operator.post("/feed/reveal")
    audit = Audit()
    audit.record(Person("Grace", "declared"), "revealed", "feed")
    for _ in range(2 * MAX_SHOWN):
        audit.record(NOBODY, "login", outcome=REFUSED)

    assert [entry.what for entry in audit.newest(10)] == ["revealed"]
    assert len(audit.refused()) == MAX_REFUSED
    Operator(console.address).post("/login", token="x" * 43, who="Eve", follow=False)
    assert "Refused logins" in operator.get("/audit").words


def test_who_guesses_the_token_waits_and_writes_little_into_the_audit_log(console: ConsoleThread) -> None:
    stranger = Operator(console.address)

    answers = [stranger.post("/login", token=f"guess {n}", who="Eve", follow=False) for n in range(50)]

    assert [answer.status for answer in answers[:6]] == [403] * 6
    assert answers[-1].status == 429
    assert "Too many logins were refused: try again in" in answers[-1].words
    assert len([line for line in console.audit() if line["outcome"] == "refused"]) < 50
    assert stranger.post("/login", token=console.token, who="Eve", follow=False).status == 429


def test_the_audit_log_says_that_a_name_was_only_declared(console: ConsoleThread, operator: Operator) -> None:
    Operator(console.address).post("/login", token="x" * 43, who="Grace", follow=False)
    operator.post("/feed/reveal")

    assert "Grace revealed feed done nothing: declared" in operator.get("/audit").words
    said = [(line["who"], line["proof"], line["what"]) for line in console.audit()]
    assert said == [("Grace", "declared", "login"), ("nobody", "none", "login"), ("Grace", "declared", "revealed")]


def test_a_name_that_could_be_taken_for_another_one_is_refused(console: ConsoleThread) -> None:
    for who in ("Gr\N{CYRILLIC SMALL LETTER A}ce", "nobody"):
        answer = Operator(console.address).post("/login", token=console.token, who=who, follow=False)
        assert (answer.status, "each word in letters of one script" in answer.words) == (403, True)
