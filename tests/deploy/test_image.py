"""Building and pushing: with a stand-in for Docker that writes down what it was asked to do."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy import image
from deploy.image import AUTHORITIES, ImageNotBuilt, fetch_certificates
from tests.deploy.templates import read

URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/signup-sync-dev"


class Registry:
    """The three calls of ECR that a push makes."""

    def __init__(self, *tags: str) -> None:
        self._tags = tags

    def describe_images(self, repositoryName: str, imageIds: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803 (boto3's names)
        if imageIds[0]["imageTag"] not in self._tags:
            raise ClientError(
                {"Error": {"Code": "ImageNotFoundException", "Message": repositoryName}}, "DescribeImages"
            )
        return {}

    def get_authorization_token(self) -> dict[str, Any]:
        token = base64.b64encode(b"AWS:secret").decode()
        return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": "https://registry.example"}]}


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` before all others on the path; gives the file that it writes to."""
    calls = tmp_path / "calls"
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n[ "$1" != login ] || cat > {calls}.password\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return calls


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which everything is committed, with an image that is built from `worker`."""
    root = tmp_path / "clone"
    for name, content in {
        ".dockerignore": "*\n!worker\n",
        "Dockerfile": "FROM scratch",
        "worker/main.py": "",
        "deploy/environments/dev.toml": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "-m", "all")
    return root


@pytest.mark.process
def test_a_change_of_an_environments_parameters_is_no_change_of_the_image(clone: Path) -> None:
    (clone / "deploy/environments/dev.toml").write_text('AlarmEmail = "you@example.com"')
    (clone / "deploy/environments/stage.toml").touch()

    assert image.current_tag(clone) == git(clone, "rev-parse", "--short=12", "HEAD")


@pytest.mark.process
@pytest.mark.parametrize("name", ["worker/main.py", "worker/new.py", "Dockerfile"])
def test_a_change_of_what_the_image_holds_is_named(clone: Path, name: str) -> None:
    (clone / name).write_text("changed")

    with pytest.raises(ImageNotBuilt, match=f"^{name} is not committed.*commit it, or give --image$"):
        image.current_tag(clone)


@pytest.mark.parametrize(
    ("name", "arn"),
    [
        (f"{URI}:1", "arn:aws:ecr:us-east-1:123456789012:repository/signup-sync-dev"),
        (f"{URI}@sha256:{'0' * 64}", "arn:aws:ecr:us-east-1:123456789012:repository/signup-sync-dev"),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/signup-sync:1",
            "arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/signup-sync",
        ),
        ("ghcr.io/example/signup-sync:1", None),
        ("public.ecr.aws/example/signup-sync:1", None),
    ],
)
def test_an_images_repository_is_read_from_its_name(name: str, arn: str | None) -> None:
    assert image.repository_arn(name) == arn


@pytest.mark.process
def test_a_promoted_image_is_copied_under_its_tag(docker: Path) -> None:
    target = URI.replace("-dev", "-prod")

    assert image.copy(Registry(), f"{URI}:abc", Registry(), "signup-sync-prod", target) == f"{target}:abc"
    assert [line for line in docker.read_text().splitlines() if not line.startswith("login ")] == [
        f"pull {URI}:abc",
        f"tag {URI}:abc {target}:abc",
        f"push {target}:abc",
    ]


def test_a_promoted_image_that_is_there_is_not_copied_again(docker: Path) -> None:
    image.copy(Registry(), f"{URI}:abc", Registry("abc"), "signup-sync-prod", URI.replace("-dev", "-prod"))

    assert not docker.exists()


@pytest.mark.parametrize("name", ["ghcr.io/example/signup-sync:1", f"{URI}@sha256:{'0' * 64}", URI])
def test_what_cannot_be_copied_is_said(name: str) -> None:
    with pytest.raises(ImageNotBuilt, match="no image of ECR with a tag"):
        image.copy(Registry(), name, Registry(), "signup-sync-prod", URI)


@pytest.mark.process
def test_the_image_is_built_for_the_architecture_and_pushed_after_logging_in(docker: Path) -> None:
    pushed = image.push(Registry(), "signup-sync-dev", URI, "abc", "ARM64")

    assert pushed == f"{URI}:abc"
    build, login, push = docker.read_text().splitlines()
    assert build.startswith("build --platform linux/arm64 ")
    assert login.startswith("login --username AWS --password-stdin https://registry.example")
    assert push == f"push {URI}:abc"
    assert docker.with_suffix(".password").read_text() == "secret"  # and on no command line


def test_an_image_that_is_there_is_not_built_again(docker: Path) -> None:
    assert image.push(Registry("abc"), "signup-sync-dev", URI, "abc", "X86_64") == f"{URI}:abc"
    assert not docker.exists()


def test_certificates_are_downloaded_once(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("-----BEGIN CERTIFICATE-----\nfirst")
    fetch_certificates([source.as_uri(), source.as_uri()], target)
    source.write_text("-----BEGIN CERTIFICATE-----\nsecond")
    fetch_certificates([source.as_uri()], target)

    assert target.read_text() == 2 * "-----BEGIN CERTIFICATE-----\nfirst\n"


def test_the_file_that_the_database_is_checked_against_is_one_of_those_in_the_image() -> None:
    address = read("database")["Outputs"]["DatabaseAddress"]["Value"]
    text = json.dumps(address)

    assert "sslrootcert=/etc/signup-sync/rds-global-bundle.pem" in text
    assert {path.name for path in AUTHORITIES} == {"rds-global-bundle.pem", "amazon-trust-services.pem"}


def test_what_is_not_a_bundle_of_certificates_is_refused(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("<html>Access denied</html>")

    with pytest.raises(ImageNotBuilt, match="not a bundle"):
        fetch_certificates([source.as_uri()], target)
    assert not target.exists()


def git(root: Path, *arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return result.stdout.strip()
