"""What somebody types that is not UTF-8 is refused by every command, before it does anything."""

from collections.abc import Iterator

import click
import pytest

from tests.support.invoke import invoke
from worker.cli.app import cli

NOT_UTF_8 = "\udcff"  # how Python passes on the byte FF
ENVIRONMENT = {
    "QUEUE_URL": "http://127.0.0.1:1/123456789012/events",
    "DLQ_URL": "http://127.0.0.1:1/123456789012/dead",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
}
PASSED_ON = {"psql_options", "pg_dump_options"}  # to a program that understands them itself
FILES = (click.Path, click.File)  # of which a name may be any bytes


def parameters(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Parameter]]:
    """All that take text, with the path of their command."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if isinstance(found, click.Group):
                yield from parameters(found, *path, name)
            elif found is not None:
                yield from (((*path, name), parameter) for parameter in found.params if takes_text(parameter))


def takes_text(parameter: click.Parameter) -> bool:
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    return not is_flag and parameter.name not in PASSED_ON and not isinstance(parameter.type, FILES)


def typed(parameter: click.Parameter) -> list[str]:
    return [NOT_UTF_8] if isinstance(parameter, click.Argument) else [parameter.opts[0], f"data.x={NOT_UTF_8}"]


ALL = list(parameters(cli))


@pytest.mark.parametrize(
    ("path", "parameter"), ALL, ids=[f"{' '.join(path)} {parameter.opts[0]}" for path, parameter in ALL]
)
def test_text_that_is_not_utf_8_is_refused(path: tuple[str, ...], parameter: click.Parameter) -> None:
    ended = invoke(*path, *typed(parameter), environment=ENVIRONMENT)

    last = ended.stderr.splitlines()[-1]
    assert (ended.returncode, ended.stdout) == (2, "")
    assert last.startswith("Error: Invalid value for")
    assert parameter.opts[0].lstrip("-") in last or isinstance(parameter, click.Argument)


def test_plain_text_parameters_are_checked_by_their_type() -> None:
    """As `click.STRING` takes anything; those of `pause` have a rule of their own, which refuses more."""
    unchecked = {
        (*path, parameter.name) for path, parameter in ALL if isinstance(parameter.type, click.types.StringParamType)
    }

    assert unchecked == {("pause", "why"), ("pause", "who"), ("resume", "who")}


def test_an_option_that_there_is_not_is_refused_as_any_other() -> None:
    ended = invoke("dlq", "replay", f"--force{NOT_UTF_8}", environment=ENVIRONMENT)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "No such option" in ended.stderr
