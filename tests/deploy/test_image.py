"""Building and pushing: with a stand-in for Docker that writes down what it was asked to do."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy import image
from deploy.image import ImageNotBuilt, fetch_certificates

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
    fetch_certificates(source.as_uri(), target)
    source.write_text("-----BEGIN CERTIFICATE-----\nsecond")
    fetch_certificates(source.as_uri(), target)

    assert target.read_text().endswith("first")


def test_what_is_not_a_bundle_of_certificates_is_refused(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("<html>Access denied</html>")

    with pytest.raises(ImageNotBuilt, match="not a bundle"):
        fetch_certificates(source.as_uri(), target)
    assert not target.exists()
