"""The worker's image: built from this clone with Docker or Podman, and pushed to the environment's repository."""

import base64
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

_ROOT = Path(__file__).parents[1]

CERTIFICATES = _ROOT / "deploy" / "certificates" / "rds-global-bundle.pem"
# Amazon RDS User Guide, "Using SSL/TLS to encrypt a connection to a DB instance or cluster", "Download certificate
# bundles for Amazon RDS".
CERTIFICATES_URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
DOWNLOAD_TIMEOUT = 30  # seconds
PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}


class ImageNotBuilt(Exception):
    """One line that says why, and what to do."""


def current_tag() -> str:
    """The commit that is checked out. Raises `ImageNotBuilt` when there is more in the clone than that commit."""
    downloaded = f":!{CERTIFICATES.relative_to(_ROOT)}"
    if _run("git", "status", "--porcelain", "--", ".", downloaded):
        raise ImageNotBuilt("the clone has changes that are not committed: commit them, or give --image")
    return _run("git", "rev-parse", "--short=12", "HEAD")


def push(ecr: Any, repository: str, uri: str, tag: str, architecture: str) -> str:
    """Build and push unless the repository has this tag; return the image's name with its tag."""
    image = f"{uri}:{tag}"
    if not _exists(ecr, repository, tag):
        engine = next((name for name in ("docker", "podman") if shutil.which(name)), None)
        if engine is None:
            raise ImageNotBuilt("neither docker nor podman is installed: install one, or give --image")
        arguments = ["--build-arg", f"VERSION={tag}", "--build-arg", f"REVISION={tag}"]
        _show(engine, "build", "--platform", PLATFORMS[architecture], *arguments, "--tag", image, str(_ROOT))
        _log_in(ecr, engine)
        _show(engine, "push", image)
    return image


def fetch_certificates(url: str = CERTIFICATES_URL, path: Path = CERTIFICATES) -> None:
    """Download the certificate authorities of RDS, unless they are there."""
    if path.exists():
        return
    with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as answer:  # noqa: S310 (a constant https address)
        content = answer.read()
    if not content.startswith(b"-----BEGIN CERTIFICATE-----"):
        raise ImageNotBuilt(f"{url} is not a bundle of certificates")
    path.write_bytes(content)


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


def _run(*command: str) -> str:
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise ImageNotBuilt(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout.strip()


def _show(*command: str) -> None:
    if subprocess.run(command, cwd=_ROOT, check=False).returncode != 0:  # noqa: S603
        raise ImageNotBuilt(f"{' '.join(command)} failed")
