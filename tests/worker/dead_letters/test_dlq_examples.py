"""Every example of the help and of the runbook, as it stands there: what an operator types under pressure works."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import runbook
from tests.support.dlq import Dlq
from tests.support.events import activity, sign_up
from worker.cli.commands.dlq import dlq as group

_id = re.compile(r"\b(ID|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?= |$)")


def examples() -> Iterator[str]:
    """Each command line once, without `signup-sync dlq` and without what is said of it."""
    texts = [
        runbook.RUNBOOK.read_text(),
        group.help or "",
        *(command.help or "" for command in group.commands.values()),
    ]
    yield from dict.fromkeys(line for text in texts for line in runbook.examples(text))


@pytest.mark.parametrize("example", list(examples()))
def test_an_example_is_a_command_that_is_understood(
    dlq: Dlq, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [ada] = dlq.fill(sign_up("ada", handle="a b"), reason="invalid_event")
    dlq.fill(activity("nobody"), reason="unknown_author")
    for name in re.findall(r"\S+\.jsonl", example):
        assert dlq.run("export", name).returncode == 0
    arguments = [*shlex.split(_id.sub(ada, example)), *(["--yes"] if example.startswith(("edit", "delete")) else [])]

    done = dlq.run(*arguments, EDITOR="true", stdin="y\n")

    # It may have found nothing to do, but it was not misunderstood.
    assert "Usage:" not in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_there_are_examples_of_every_command() -> None:
    assert {example.split()[0] for example in examples()} == set(group.commands)


def test_the_example_that_mends_many_finds_those_that_it_is_for(dlq: Dlq) -> None:
    example = next(line for line in examples() if line.startswith("edit") and "--match" in line)
    dlq.fill(sign_up("ada", display_name=""), sign_up("bob", display_name=""), reason="invalid_event")
    dlq.fill(sign_up("eve", handle="a b"), reason="invalid_event")

    done = dlq.run(*shlex.split(example), "--yes")

    assert done.returncode == 0, done.stderr
    assert dlq.visible() == 1


def test_a_match_that_is_no_member_is_told_of_the_other_way(dlq: Dlq) -> None:
    done = dlq.run("list", "--match", '"display_name": ""')

    assert done.returncode == 2
    assert "--text" in done.stderr
