"""A token for each person: whose name it is, and what becomes of a session when the file is changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.invoke import invoke
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleProcess, ConsoleThread, StartConsole
from worker.console.identity.people import Person
from worker.console.identity.token_file import MAX_SIZE, TokenFile, UnusableTokenFile, line_of, new_token

TOKENS = {name: new_token() for name in ("Grace", "Linus")}


def write(file: Path, text: str, mode: int = 0o600) -> Path:
    file.write_text(text)
    file.chmod(mode)
    return file


def lines(*names: str) -> str:
    return "".join(f"{line_of(name, TOKENS[name])}\n" for name in names)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "tokens", f"# operators\n\n{lines('Grace', 'Linus')}")


@pytest.fixture
def console(start_console: StartConsole, file: Path) -> ConsoleThread:
    return start_console(TokenFile(file))


def log_in(console: ConsoleThread, name: str, who: str = "") -> Operator:
    return Operator(console.address).log_in(TOKENS[name], who)


def test_the_name_is_that_of_the_file_whatever_the_form_says(console: ConsoleThread) -> None:
    log_in(console, "Grace", who="Linus").post("/feed/reveal")

    assert [(line["who"], line["proof"]) for line in console.audit()] == [("Grace", "token")] * 2
    assert 'name="who"' not in Operator(console.address).get("/login").text


def test_a_token_that_is_in_no_line_is_refused_as_often_as_the_shared_one(console: ConsoleThread) -> None:
    stranger = Operator(console.address)

    answers = [stranger.post("/login", token=f"guess {n}", who="Grace", follow=False) for n in range(7)]

    assert [answer.status for answer in answers] == [403] * 6 + [429]
    assert "not a token of the file" in answers[0].words
    assert {(line["who"], line["proof"], line["outcome"]) for line in console.audit()} == {
        ("nobody", "none", "refused")
    }


def test_neither_a_hash_nor_nothing_is_a_token(file: Path) -> None:
    door = TokenFile(file)

    given = ["", "\ud800", lines("Grace").strip(), lines("Grace").partition(":")[2].strip(), TOKENS["Grace"][:-1]]
    assert [door.take(text, "Grace") for text in given] == [None] * 5


def test_who_is_taken_out_of_the_file_is_logged_out_and_nobody_else(console: ConsoleThread, file: Path) -> None:
    grace, linus = log_in(console, "Grace"), log_in(console, "Linus")

    write(file, lines("Linus"))

    assert grace.get("/audit").headers["location"] == "/login"
    assert linus.get("/audit").status == 200
    assert grace.post("/login", token=TOKENS["Grace"], who="", follow=False).status == 403


def test_another_token_for_the_same_person_ends_what_the_old_one_has_opened(console: ConsoleThread, file: Path) -> None:
    grace = log_in(console, "Grace")

    write(file, f"{line_of('Grace', 'another')}\n")

    assert grace.get("/audit").headers["location"] == "/login"


def test_who_is_put_into_the_file_can_log_in_at_once(console: ConsoleThread, file: Path) -> None:
    write(file, file.read_text() + line_of("Ada", "another token"))

    assert Operator(console.address).log_in("another token").get("/audit").status == 200


def test_a_file_that_cannot_be_used_any_more_lets_nobody_in_and_the_log_says_why(
    console: ConsoleThread, file: Path
) -> None:
    grace = log_in(console, "Grace")

    file.chmod(0o644)

    assert grace.get("/audit").headers["location"] == "/login"
    assert grace.post("/login", token=TOKENS["Grace"], who="", follow=False).status == 403
    [problem] = {line["problem"] for line in console.log if line["event"] == "token_file_refused"}
    assert problem == f"others may read or write {file} (mode 0644): chmod 600 it"


@pytest.mark.parametrize(
    ("text", "mode", "problem"),
    [
        ("", 0o640, r"others may read or write .* \(mode 0640\): chmod 600 it"),
        ("", 0o604, r"\(mode 0604\)"),
        ("", 0o620, r"\(mode 0620\)"),
        ("\n:sha256:" + "0" * 64, 0o600, "line 2: it should begin with a name of letters"),
        ("nobody:sha256:" + "0" * 64, 0o600, "line 1: it should begin with"),
        ("Grace:secret", 0o600, "line 1: it should be one that signup-sync console-token has made"),
        ("Grace", 0o600, "line 1: it should be one"),
        (f"Grace:sha256:{'0' * 64}\nLinus:sha256:{'0' * 64}", 0o600, "the same token in two lines"),
        ("#" * (MAX_SIZE + 1), 0o600, "longer than 65536 bytes"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused(tmp_path: Path, text: str, mode: int, problem: str) -> None:
    with pytest.raises(UnusableTokenFile, match=problem) as caught:
        TokenFile(write(tmp_path / "tokens", text, mode))

    assert "secret" not in str(caught.value)


def test_what_is_no_text_in_a_file_is_refused(tmp_path: Path) -> None:
    pipe, bytes_ = tmp_path / "pipe", tmp_path / "bytes"
    os.mkfifo(pipe, 0o600)
    bytes_.write_bytes(b"\xff")
    bytes_.chmod(0o600)

    for path, problem in ((tmp_path / "none", "No such file"), (pipe, "is no file"), (bytes_, "is not UTF-8")):
        with pytest.raises(UnusableTokenFile, match=problem):
            TokenFile(path)


def test_the_command_makes_a_line_and_says_the_token_once(tmp_path: Path) -> None:
    made = invoke("console-token", "Grace Hopper", environment={})

    token = made.stderr.rpartition(" ")[2].strip()
    assert made.stderr.startswith("signup-sync: the token of Grace Hopper, which is shown once: ")
    assert token not in made.stdout
    assert TokenFile(write(tmp_path / "tokens", made.stdout)).take(token, "") == Person(
        "Grace Hopper", "token", made.stdout.strip().partition(":")[2]
    )
    assert invoke("console-token", "Grace Hopper", environment={}).stderr != made.stderr


def test_the_command_refuses_a_name_that_the_file_would_not_have() -> None:
    ended = invoke("console-token", "a:b", environment={})

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert "NAME should be a name of letters" in ended.stderr


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"CONSOLE_TOKENS_FILE": "/nowhere/tokens"}, "CONSOLE_TOKENS_FILE: /nowhere/tokens: No such file"),
        (
            {"CONSOLE_TOKENS_FILE": "tokens", "CONSOLE_TOKEN": "x" * 32},
            "CONSOLE_TOKEN and CONSOLE_TOKENS_FILE exclude each other",
        ),
    ],
)
def test_a_mistake_is_one_line(
    console_environment: Callable[..., dict[str, str]], settings: dict[str, str], line: str
) -> None:
    ended = invoke("console", environment=console_environment(**settings))

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert line in ended.stderr


def test_with_the_file_no_link_with_a_token_is_printed(
    start_console_process: Callable[..., ConsoleProcess], file: Path
) -> None:
    console = start_console_process(CONSOLE_TOKENS_FILE=str(file))

    assert console.link == f"{console.address}/login"
    Operator(console.address).log_in(TOKENS["Grace"])
    console.terminate()
    assert console.wait() == 0
    assert "token=" not in console.stderr
    assert TOKENS["Grace"] not in str(console)
