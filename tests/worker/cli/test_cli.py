import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from signup_sync.events import json_schema
from tests.support import command
from tests.support.invoke import invoke
from tests.support.ports import free_port
from tests.support.sqs import aws_environment
from worker.cli.app import cli

ROOT = Path(__file__).parents[3]

QUEUE_URL = "http://127.0.0.1:1/123456789012/events"


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """The path of every command that does something; groups only lead to others."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if isinstance(found, click.Group):
                yield from commands(found, *path, name)
            else:
                yield (*path, name)


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_the_help_of_every_command_teaches_by_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"], prog_name="signup-sync")

    assert result.exit_code == 0
    description, found, examples = result.output.partition("Example")
    assert found, "no example"
    assert f"signup-sync {' '.join(path)}" in examples
    # What it does is said in a sentence, behind the usage.
    assert "." in description.partition("\n")[2]


@pytest.mark.parametrize("path", sorted({path[:-1] for path in commands(cli)}), ids=lambda path: " ".join(path) or "-")
def test_the_help_of_every_group_names_its_commands(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "-h"], prog_name="signup-sync")

    assert result.exit_code == 0
    assert {other[len(path)] for other in commands(cli) if other[: len(path)] == path} <= set(result.output.split())


@pytest.mark.process
def test_the_help_waits_for_nothing_that_commands_need() -> None:
    code = (
        "import sys\nfrom worker.cli.app import cli\ncli(['--help'], standalone_mode=False)\n"
        "print({'boto3', 'psycopg', 'pydantic', 'structlog'} & {*sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert "Commands:" in done.stdout
    assert done.stderr == "set()\n"


@pytest.mark.process
def test_the_worker_starts_without_what_its_log_does_not_need() -> None:
    code = (
        "import sys\nfrom worker.cli.app import cli\ncli(['worker', '--help'], standalone_mode=False)\n"
        "print({'opentelemetry', 'pygments', 'rich'} & {*sys.modules}, file=sys.stderr)\n"
        "import rich"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stderr == "set()\n"


def test_the_help_says_what_each_command_does_in_a_whole_sentence() -> None:
    result = CliRunner().invoke(cli, ["--help"], prog_name="signup-sync")

    lines = result.output.partition("Commands:\n")[2].splitlines()
    assert len(lines) == len(cli.list_commands(click.Context(cli)))
    assert all(line.endswith(".") and not line.endswith("..") for line in lines), lines


@pytest.mark.parametrize(("typed", "meant"), [("publsh", "publish"), ("workr", "worker"), ("DLQ", None)])
def test_a_name_that_is_nearly_a_command_is_told_what_it_may_have_been_meant_for(typed: str, meant: str | None) -> None:
    result = CliRunner().invoke(cli, [typed, "x"], prog_name="signup-sync")

    assert result.exit_code == 2
    assert f"No such command '{typed}'" in result.output
    assert (f"Did you mean '{meant}'?" in result.output) is (meant is not None)


def mistake(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what is wrong."""
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.process
def test_a_missing_setting_is_one_line() -> None:
    done = command.run("db", "migrate", environment=command.command_environment({}))

    assert mistake(done) == "signup-sync: DATABASE_URL is not set"


@pytest.mark.parametrize(
    ("args", "database_url", "line"),
    [
        (["worker"], None, "QUEUE_URL is not set; DLQ_URL is not set; DATABASE_URL is not set"),
        (["db", "status"], "hunter2", "DATABASE_URL should be a URL such as postgresql://user@host:5432/database"),
    ],
)
def test_settings_that_are_wrong_are_one_line(args: list[str], database_url: str | None, line: str) -> None:
    variables = {"DATABASE_URL": database_url, "QUEUE_URL": None, "DLQ_URL": None}

    result = CliRunner().invoke(cli, args, env=variables)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"signup-sync: {line}\n")


def test_a_database_that_is_away_is_one_line() -> None:
    port = free_port()

    url = f"postgresql://postgres@127.0.0.1:{port}/app"
    line = mistake(invoke("db", "status", environment={"DATABASE_URL": url}))

    assert line.startswith("signup-sync: database: ")
    assert "Connection refused" in line


@pytest.mark.process
def test_a_queue_that_is_away_is_one_line() -> None:
    endpoint_url = f"http://127.0.0.1:{free_port()}"
    settings = {"DATABASE_URL": "dbname=app", "QUEUE_URL": QUEUE_URL, "DLQ_URL": f"{QUEUE_URL}-dlq"}

    line = mistake(command.run("worker", environment={**settings, **aws_environment(endpoint_url)}))

    assert line.startswith("signup-sync: get_queue_attributes: ")
    assert line.endswith("is the endpoint right (AWS_REGION, AWS_ENDPOINT_URL_SQS)?")


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["wroker"], "wroker"),
        (["db", "migrate", "--fast"], "--fast"),
        (["completion", "tcsh"], "tcsh"),
        (["schema", "extra"], "extra"),
    ],
)
def test_what_the_command_line_does_not_know_is_named_with_status_2(args: list[str], named: str) -> None:
    result = CliRunner().invoke(cli, args, prog_name="signup-sync")

    assert result.exit_code == 2
    assert named in result.stderr.splitlines()[-1]
    assert result.stdout == ""


def test_the_schema_is_printed_for_others_to_read() -> None:
    done = invoke("schema", environment={})

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json_schema()
    assert done.stdout == (ROOT / "signup_sync" / "events.schema.json").read_text(encoding="utf-8")


@pytest.mark.process
def test_the_module_is_the_command_worker() -> None:
    module = [sys.executable, "-m", "worker", "--help"]

    done = subprocess.run(module, cwd=ROOT, env={"COLUMNS": "80"}, capture_output=True, text=True, check=True)

    assert done.stdout == invoke("worker", "--help", environment={"COLUMNS": "80"}).stdout
    assert done.stdout.startswith("Usage: signup-sync worker ")


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == version("signup-sync") + "\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.process
def test_completion_is_a_script_of_the_shell(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])

    assert result.exit_code == 0
    assert "_SIGNUP_SYNC_COMPLETE" in result.output


def test_the_database_is_migrated_and_says_so(empty_database_url: str) -> None:
    def db(name: str) -> Result:
        return CliRunner().invoke(cli, ["db", name], env={"DATABASE_URL": empty_database_url})

    assert db("status").exit_code == 1

    migrated, again, status = (db(name) for name in ("migrate", "migrate", "status"))

    assert migrated.output.startswith("applied 0001 users and activities\n")
    assert again.output == "up to date\n"
    assert "pending" not in status.output
    assert [result.exit_code for result in (migrated, again, status)] == [0, 0, 0]


def without(missing: str, *args: str) -> str:
    """The one line that `signup-sync` says where this module is not installed."""
    script = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['signup-sync', *{args!r}]; "
        "from worker.__main__ import main; main()"
    )
    environment = {
        **aws_environment("http://127.0.0.1:1"),
        "QUEUE_URL": "http://127.0.0.1:1/1/events",
        "DLQ_URL": "http://127.0.0.1:1/1/dead",
        "DATABASE_URL": "postgresql://127.0.0.1:1/none",
    }
    return mistake(
        subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    )


@pytest.mark.parametrize("help_", [(), ("--help",)], ids=["", "help"])
@pytest.mark.parametrize(
    ("missing", "name", "extra"),
    [
        ("click", "worker", "worker"),
        ("psycopg", "worker", "worker"),
        ("psycopg", "publish", "worker"),
        ("click", "console", "console"),
        ("uvicorn", "console", "console"),
        ("jinja2", "console", "console"),
    ],
)
@pytest.mark.process
def test_a_part_that_is_not_installed_is_named(missing: str, name: str, extra: str, help_: tuple[str, ...]) -> None:
    line = without(missing, name, *help_)

    assert line == f"signup-sync: {missing} is not installed: pip install 'signup-sync[{extra}]'"


@pytest.mark.parametrize("args", [(), ("--help",), ("--version",), ("worker", "--help"), ("console", "--help")])
@pytest.mark.process
def test_where_nothing_but_python_is_installed_the_extra_is_named(args: tuple[str, ...]) -> None:
    script = f"import sys; sys.argv = ['signup-sync', *{args!r}]; from worker.__main__ import main; main()"
    extra = "console" if "console" in args else "worker"

    done = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )

    assert mistake(done) == f"signup-sync: click is not installed: pip install 'signup-sync[{extra}]'"


@pytest.mark.process
def test_where_the_console_is_not_installed_other_commands_are_completed() -> None:
    script = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['signup-sync']; "
        "from worker.__main__ import main; main()"
    )
    typed = {"_SIGNUP_SYNC_COMPLETE": "bash_complete", "COMP_WORDS": "signup-sync ", "COMP_CWORD": "1"}

    done = subprocess.run([sys.executable, "-c", script], env=typed, capture_output=True, text=True, check=False)

    assert {"plain,worker", "plain,console"} <= set(done.stdout.split())
