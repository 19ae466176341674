"""Pinning the base image, with a stand-in for Docker that says what it is told to."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGEST = f"sha256:{'ab' * 32}"
OTHER = f"sha256:{'cd' * 32}"

pytestmark = pytest.mark.process


def pin(clone: Path, says: str) -> subprocess.CompletedProcess[str]:
    """Run the script, of a clone, with a docker that says this."""
    programs = clone / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "docker").write_text(f"#!/bin/sh\necho \"$@\" >'{clone}/asked'\ncat <<'END'\n{says}\nEND\n")
    (programs / "docker").chmod(0o755)
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    command = [str(clone / "deploy" / "pin-base")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "pin-base", tmp_path / "deploy")
    (tmp_path / "Dockerfile").write_text(
        "# Base\nARG BASE=registry.example/python:3.13-slim\n\nFROM ${BASE} AS build\n"
    )
    return tmp_path


def test_the_digest_is_written_behind_the_tag_and_the_next_one_in_its_place(clone: Path) -> None:
    for digest in (DIGEST, OTHER):
        done = pin(clone, f"Name:      x\nMediaType: y\nDigest:    {digest}\n\nManifests:\n  Name: x@{'0' * 64}")

        name = f"registry.example/python:3.13-slim@{digest}"
        assert (done.returncode, done.stdout) == (0, f"{name}\n")
        assert (clone / "asked").read_text() == "buildx imagetools inspect registry.example/python:3.13-slim\n"
        expected = f"# Base\nARG BASE={name}\n\nFROM ${{BASE}} AS build\n"
        assert (clone / "Dockerfile").read_text() == expected


def test_without_a_digest_nothing_is_changed(clone: Path) -> None:
    before = (clone / "Dockerfile").read_text()

    done = pin(clone, "error: unauthorized")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert (clone / "Dockerfile").read_text() == before


def test_the_base_image_has_a_tag_that_says_what_it_is() -> None:
    [line] = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("ARG BASE=")]

    name, _, digest = line.partition("@")
    assert ":" in name
    assert not digest or digest.startswith("sha256:")
