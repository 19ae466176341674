"""The worker's image: built from this clone with Docker or Podman, and pushed to the environment's repository."""

import base64
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

_ROOT = Path(__file__).parents[1]

# ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY (Amazon ECR User Guide, "Amazon ECR private registries").
_ECR_IMAGE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([a-z0-9._/-]+)(?:[:@].+)?")

_CERTIFICATES = _ROOT / "deploy" / "certificates"
AUTHORITIES = {
    # Amazon RDS User Guide, "Using SSL/TLS to encrypt a connection to a DB instance or cluster", "Download certificate
    # bundles for Amazon RDS".
    _CERTIFICATES / "rds-global-bundle.pem": ["https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"],
    # RDS Proxy's certificates are of AWS Certificate Manager (Amazon RDS User Guide, "Using TLS/SSL with RDS Proxy");
    # these are its roots (Amazon Trust Services, "Repository").
    _CERTIFICATES / "amazon-trust-services.pem": [
        f"https://www.amazontrust.com/repository/AmazonRootCA{number}.pem" for number in (1, 2, 3, 4)
    ],
}
DOWNLOAD_TIMEOUT = 30  # seconds
PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}


class ImageNotBuilt(Exception):
    """One line that says why, and what to do."""


def current_tag(root: Path = _ROOT) -> str:
    """The commit that is checked out. Raises `ImageNotBuilt` when the image would hold more than that commit.

    Other changes, such as those of an environment's parameters, are no concern of the image's.
    """
    downloaded = [f":!{path.relative_to(_ROOT)}" for path in AUTHORITIES]
    if changed := _run("git", "status", "--porcelain", "--", *_sources(root), *downloaded, cwd=root):
        first = changed.splitlines()[0].split(maxsplit=1)[1]
        raise ImageNotBuilt(
            f"{first} is not committed, and the image is named by its commit: commit it, or give --image"
        )
    return _run("git", "rev-parse", "--short=12", "HEAD", cwd=root)


def repository_arn(image: str) -> str | None:
    """The ARN of the repository that an image of ECR is in, from its name; None for one of another registry."""
    match = _ECR_IMAGE.fullmatch(image)
    if match is None:
        return None
    account, region, repository = match.groups()
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:ecr:{region}:{account}:repository/{repository}"


def copy(source: Any, image: str, ecr: Any, repository: str, uri: str) -> str:
    """Copy an image of one repository into another, under the same tag; return its name there.

    `source` and `ecr` are clients of ECR: for the registry that has the image, and for the one that gets it. Raises
    `ImageNotBuilt`.
    """
    name, _, tag = image.rpartition(":")
    copied = f"{uri}:{tag}"
    if repository_arn(image) is None or not name or "@" in name:
        raise ImageNotBuilt(f"{image} is no image of ECR with a tag: give its name with --image")
    if not _exists(ecr, repository, tag):
        engine = _engine()
        _log_in(source, engine)
        _show(engine, "pull", image)
        _show(engine, "tag", image, copied)
        _log_in(ecr, engine)
        _show(engine, "push", copied)
    return copied


def push(ecr: Any, repository: str, uri: str, tag: str, architecture: str) -> str:
    """Build and push unless the repository has this tag; return the image's name with its tag."""
    image = f"{uri}:{tag}"
    if not _exists(ecr, repository, tag):
        engine = _engine()
        arguments = ["--build-arg", f"VERSION={tag}", "--build-arg", f"REVISION={tag}"]
        _show(engine, "build", "--platform", PLATFORMS[architecture], *arguments, "--tag", image, str(_ROOT))
        _log_in(ecr, engine)
        _show(engine, "push", image)
    return image


def fetch_authorities() -> None:
    """Download the certificate authorities of RDS and of RDS Proxy, unless they are there. Raises `ImageNotBuilt`."""
    for path, urls in AUTHORITIES.items():
        fetch_certificates(urls, path)


def fetch_certificates(urls: Iterable[str], path: Path) -> None:
    """Download certificates into one file, unless it is there. Raises `ImageNotBuilt` if one is none."""
    if not path.exists():
        path.write_bytes(b"".join([_download(url) for url in urls]))


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as answer:  # noqa: S310 (a constant https address)
        content: bytes = answer.read()
    if not content.startswith(b"-----BEGIN CERTIFICATE-----"):
        raise ImageNotBuilt(f"{url} is not a bundle of certificates")
    return content.rstrip(b"\n") + b"\n"


def _sources(root: Path) -> list[str]:
    """What the image is built from."""
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return ["Dockerfile", ".dockerignore", *(line.removeprefix("!") for line in lines if line.startswith("!"))]


def _engine() -> str:
    engine = next((name for name in ("docker", "podman") if shutil.which(name)), None)
    if engine is None:
        raise ImageNotBuilt("neither docker nor podman is installed: install one, or give --image")
    return engine


def _exists(ecr: Any, repository: str, tag: str) -> bool:
    try:
        ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ImageNotFoundException":
            return False
        raise
    return True


def _log_in(ecr: Any, engine: str) -> None:
    authorization = ecr.get_authorization_token()["authorizationData"][0]
    user, password = base64.b64decode(authorization["authorizationToken"]).decode().split(":", 1)
    command = [engine, "login", "--username", user, "--password-stdin", authorization["proxyEndpoint"]]
    result = subprocess.run(command, input=password, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise ImageNotBuilt(f"{engine} login: {result.stderr.strip()}")


def _run(*command: str, cwd: Path) -> str:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise ImageNotBuilt(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout.strip()


def _show(*command: str) -> None:
    if subprocess.run(command, cwd=_ROOT, check=False).returncode != 0:  # noqa: S603
        raise ImageNotBuilt(f"{' '.join(command)} failed")
