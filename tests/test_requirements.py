"""What is installed is pinned, with hashes, wherever it is installed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINNED = [*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "benchmarks" / "requirements-peers.txt"]
INSTALLERS = [
    "Dockerfile", "requirements/install", "requirements/lock", "requirements/audit", "benchmarks/install-peers",
]  # fmt: skip

_is_pinned = re.compile(r"[\w.-]+==[^ ;]+(?: ; [^\\]+?)?(?: --hash=sha256:[0-9a-f]{64})+").fullmatch


@pytest.mark.parametrize("file", PINNED, ids=lambda file: file.name)
def test_every_requirement_has_a_version_and_hashes(file: Path) -> None:
    lines = re.sub(r" *\\\n *", " ", file.read_text()).splitlines()

    assert lines
    assert [line for line in lines if not _is_pinned(line)] == []


@pytest.mark.parametrize("name", INSTALLERS)
def test_whatever_installs_them_asks_for_the_hashes(name: str) -> None:
    commands = re.sub(r"\\\n", " ", (ROOT / name).read_text())
    installs = re.findall(r"\binstall\b[^\n&|;]*(?:-r|--requirement) [^\n&|;]*", commands)

    assert installs
    assert [command for command in installs if "--require-hashes" not in command] == []


def test_the_peers_are_those_that_were_chosen_by_hand() -> None:
    chosen = (ROOT / "benchmarks" / "requirements-peers.in").read_text().splitlines()
    pinned = (ROOT / "benchmarks" / "requirements-peers.txt").read_text()

    for line in chosen:
        name, _, version = line.partition("==")
        assert line.startswith("#") or re.search(
            rf"^{name.partition('[')[0]}=={re.escape(version)} ", pinned, re.MULTILINE
        ), line
