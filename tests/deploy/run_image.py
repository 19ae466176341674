"""Runs the built image's root file system as an engine would, for `deploy/check-image`.

    python -m tests.deploy.run_image ROOT_DIRECTORY IMAGE.json

Process 1 of its own process namespace, with the image's own user, environment, entry point and command, on a root that
is mounted read-only; the network is the machine's. The JSON is what `buildah inspect --type image` prints. Exits with
a traceback at the first thing that is not as it should be.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from click import echo

from tests.support.events import sign_up
from tests.support.postgres import Postgres
from tests.support.sqs import SqsServer, create_queues
from tests.support.wait import wait_until
from tests.support.worker_process import worker_environment

ROLE = "signup_sync_worker"
ARRIVAL_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 30.0  # seconds: ECS' stopTimeout in deploy/stacks/tasks.yaml

# $1 is the root; the rest is a command on it. /dev/shm is left out: nothing may need it.
MOUNT_AND_RUN = """
set -e
root=$1; user=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot --userspec="$user" --groups= "$root" /usr/bin/env -i "$@"
"""

# What a production image has no use for, and an intruder has.
UNWANTED = ["gcc", "cc", "make", "pip", "pip3", "git", "curl", "wget"]


@dataclass(frozen=True)
class Image:
    """An image's root directory, and what its configuration says."""

    root: Path
    config: dict[str, Any]

    @classmethod
    def read(cls, root: str, inspection: str) -> Self:
        return cls(Path(root), json.loads(Path(inspection).read_text())["Docker"]["config"])

    def start(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start its entry point with these arguments, or with its own command."""
        own = dict(variable.split("=", 1) for variable in self.config["Env"])
        variables = [f"{name}={value}" for name, value in {**(environment or {}), **own}.items()]
        command = [*self.config["Entrypoint"], *(arguments or self.config["Cmd"])]
        return subprocess.Popen(
            [
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                MOUNT_AND_RUN,
                "sh",
                str(self.root),
                self.config["User"],
                *variables,
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, environment: dict[str, str]) -> str:
        with self.start(*arguments, environment=environment) as process:
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output.strip()


def first_process(unshare: subprocess.Popen[str]) -> int:
    """The id, on the machine, of process 1 in the namespace."""
    return int(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text())


def inside(pid: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command, as root, on the root and in the namespaces of a process."""
    enter = ["nsenter", "--target", str(pid), "--mount", "--pid", "--root", "--wd"]
    return subprocess.run([*enter, *command], capture_output=True, text=True, check=False)


def check_configuration(image: Image) -> None:
    assert image.config["User"] == "10001:10001", image.config["User"]
    assert image.config["Entrypoint"] == ["signup-sync"], "not in the exec form"
    assert image.config["Labels"]["org.opencontainers.image.revision"]
    path = next(variable for variable in image.config["Env"] if variable.startswith("PATH=")).removeprefix("PATH=")
    found = [name for name in UNWANTED for folder in path.split(":") if (image.root / folder[1:] / name).exists()]
    # The official base has a pip of its own in /usr/local/bin; the program's environment must have none.
    assert not [name for name in found if not name.startswith("pip")], found
    packages = next((image.root / "opt/signup-sync/lib").glob("python3.*/site-packages"))
    present = {entry.name.partition("-")[0] for entry in packages.iterdir()}
    assert not present & {"tests", "pip", "pytest", "moto", "hatchling"}, present


def check_running(image: Image, postgres: Postgres, sqs: SqsServer) -> None:
    owner = {"DATABASE_URL": postgres.url()}
    echo("  db migrate: " + image.run("db", "migrate", environment=owner))
    echo("  db grant-worker: " + image.run("db", "grant-worker", environment=owner))
    with closing(create_queues(sqs.endpoint_url)) as queues:
        # The network is the machine's: where something else has the port, this fails and says so.
        settings = {"ADMIN_ADDRESS": "127.0.0.1:9090"}
        environment = worker_environment(postgres.url(user=ROLE), queues, settings=settings)
        began = time.monotonic()
        with image.start(environment=environment) as worker:
            try:
                assert worker.stdout is not None
                assert json.loads(worker.stdout.readline())["event"] == "started"
                echo(f"  started {time.monotonic() - began:.2f} s after the start of the container")
                pid = first_process(worker)
                check_container(image, pid)
                queues.send(sign_up("ada"))
                wait_until(lambda: postgres.execute("SELECT 1 FROM users"), ARRIVAL_TIMEOUT, "no row has arrived")
                echo("  a sign-up is in the table")
                began = time.monotonic()
                os.kill(pid, signal.SIGTERM)
                output, _ = worker.communicate(timeout=STOP_TIMEOUT)
            finally:
                worker.kill()
        assert worker.returncode == 0, output
        echo(f"  SIGTERM to process 1: exit status 0 after {time.monotonic() - began:.2f} s")


def check_container(image: Image, pid: int) -> None:
    status = Path(f"/proc/{pid}/status").read_text()
    assert "\nUid:\t10001\t10001\t10001\t10001\n" in status, status
    assert "\nCapEff:\t0000000000000000\n" in status, status
    writing = inside(pid, "touch", "/written")
    assert "Read-only file system" in writing.stderr, writing
    healthcheck = image.config["Healthcheck"]["Test"]
    assert healthcheck[0] == "CMD", "not in the exec form"
    checked = inside(pid, "env", *image.config["Env"], *healthcheck[1:])
    assert checked.returncode == 0, checked
    echo("  runs as 10001 without capabilities on a read-only root; the health check passes")


def main() -> None:
    image = Image.read(*sys.argv[1:])
    check_configuration(image)
    with Postgres() as postgres, SqsServer() as sqs:
        check_running(image, postgres, sqs)


if __name__ == "__main__":
    main()
