"""A backend that has a `db.py` and a package `worker` of its own installs signup-sync-client beside them."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.once import once
from tests.support.sqs import Queues, aws_environment
from tests.support.tables import write

pytestmark = pytest.mark.process

SOURCE = Path(__file__).parents[2] / "signup_sync"
TIMEOUT = 300.0  # seconds, far more than any command here needs: mypy reads all of pydantic and psycopg
PIP = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check")

BACKEND = {
    "db.py": """
def rows() -> int:
    return 1
""",
    "worker/__init__.py": """
def greeting() -> str:
    return "Hello from a worker of our own"
""",
    "app.py": """
import os
import sys

import psycopg

import db
import worker
from signup_sync import ActivityCreated, InvalidEvent, NotPublished, Publisher, UserSignedUp
from signup_sync.postgres.feed import home_feed


def post() -> None:
    with Publisher(os.environ["QUEUE_URL"]) as publisher:
        try:
            publisher.publish(
                UserSignedUp.new(cognito_user_id="ada", handle="ada", display_name="Ada", source="/cognito/pool")
            )
            publisher.publish(
                ActivityCreated.new(author="ada", message=f"{worker.greeting()}: {db.rows()}", source="/backend")
            )
        except InvalidEvent as error:
            sys.exit(f"invalid: {error}, {error.unknown_type}")
        except NotPublished as error:
            sys.exit(f"not published: {error.failure.code}")


def feed() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        body: bytes = home_feed(connection)
    print(body.decode())


if __name__ == "__main__":
    if sys.argv[1:] == ["feed"]:
        feed()
    else:
        post()
""",
}
MESSAGE = "Hello from a worker of our own: 1"

WHERE = """
import json, sys
import signup_sync, worker, db
files = {module.__name__: module.__file__ for module in (signup_sync, worker, db)}
print(json.dumps({"files": files, "path": sys.path}))
"""
ONLY_ITS_DEPENDENCIES = """
import sys
sys.modules.update(dict.fromkeys(["psycopg", "structlog", "click", "alembic", "mypy_boto3_sqs"]))
import signup_sync
print(*signup_sync.__all__)
"""


@dataclass(frozen=True)
class Backend:
    """A project in an environment where nothing of ours is installed but the wheel."""

    python: Path
    site_packages: Path
    folder: Path

    def run(self, *args: str, **settings: str) -> str:
        """Run Python in the project's folder, and return what it printed."""
        return _run(self.python, *args, folder=self.folder, environment=settings)


def _run(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command that has to succeed; of the tests' environment it gets `PATH`, and nothing else."""
    result = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        start_new_session=True,  # Ctrl-C is for the tests
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(once(tmp_path_factory, "wheel", lambda: str(build_wheel(tmp_path_factory.mktemp("wheel")))))


def build_wheel(folder: Path) -> Path:
    """From a copy, so that building leaves nothing in the repository."""
    source = shutil.copytree(SOURCE, folder / "signup_sync", ignore=shutil.ignore_patterns("__pycache__"))
    _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, folder=source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def backend(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    def make() -> str:
        return json.dumps([*map(str, make_backend(wheel, tmp_path_factory.mktemp("backend")))])

    return Backend(*map(Path, json.loads(once(tmp_path_factory, "backend", make))))


def make_backend(wheel: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Third-party packages are those of the tests' environment.

    Its own .pth files, of which one leads to the repository, do not count for an environment that borrows them.
    """
    project, environment = folder / "project", folder / "environment"
    for name, text in BACKEND.items():
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip())
    _run(sys.executable, "-m", "venv", "--without-pip", environment, folder=folder)
    python = environment / "bin" / "python"
    _run(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel, folder=wheel.parent)
    purelib = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder)
    site_packages = Path(purelib.strip())
    borrowed = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (site_packages / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed))
    return python, site_packages, project


def test_the_wheel_holds_the_one_package_with_its_types_schema_and_statements(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())

    name, version = wheel.name.split("-")[:2]
    package = {file for file in names if not file.startswith(f"{name}-{version}.dist-info/")}
    modules_and_statements = [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.sql")]
    assert name == "signup_sync_client"
    assert package == {
        "signup_sync/py.typed",
        "signup_sync/events.schema.json",
        *(f"signup_sync/{file.relative_to(SOURCE).as_posix()}" for file in modules_and_statements),
    }
    assert "signup_sync/postgres/sql/home_feed.sql" in package


def test_each_import_finds_what_the_backend_means(backend: Backend) -> None:
    found = json.loads(backend.run("-c", WHERE))

    assert {name: Path(file).resolve() for name, file in found["files"].items()} == {
        "signup_sync": (backend.site_packages / "signup_sync" / "__init__.py").resolve(),
        "worker": (backend.folder / "worker" / "__init__.py").resolve(),
        "db": (backend.folder / "db.py").resolve(),
    }
    assert SOURCE.parent.resolve() not in [Path(entry).resolve() for entry in found["path"] if entry]


def test_the_package_needs_only_boto3_and_pydantic(backend: Backend) -> None:
    printed = backend.run("-c", ONLY_ITS_DEPENDENCIES)

    assert "Publisher" in printed.split()


def test_what_the_backend_publishes_is_in_the_feed_it_reads(
    backend: Backend, queues: Queues, database_url: str
) -> None:
    aws = aws_environment(queues.endpoint_url)
    del aws["AWS_DEFAULT_REGION"]  # AWS_REGION alone, as ECS and Lambda set it

    backend.run("app.py", **aws, QUEUE_URL=queues.events_url)
    received = queues.client.receive_message(QueueUrl=queues.events_url, MaxNumberOfMessages=10)["Messages"]
    write(database_url, *(message["Body"] for message in received))
    feed = json.loads(backend.run("app.py", "feed", DATABASE_URL=database_url))

    assert [(activity["handle"], activity["message"]) for activity in feed] == [("ada", MESSAGE)]


def test_the_backend_passes_a_strict_type_check(backend: Backend) -> None:
    # What mypy has read of pydantic and psycopg stays as it is from run to run.
    strict = ("--strict", "--config-file=", "--cache-dir", SOURCE.parent / ".mypy_cache" / "backend")

    printed = _run(
        *(sys.executable, "-m", "mypy", *strict, "--python-executable", backend.python, "app.py"),
        folder=backend.folder,
    )

    assert "Success: no issues found in 1 source file" in printed
