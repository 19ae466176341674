"""The parts of the end-to-end tests that are written in JavaScript: cognito-local and fauxqs.

`install-node-parts` installs them into `.e2e/`. Both run with all their state in memory or in a folder of the test.
"""

import json
import os
import shutil
from pathlib import Path

from tests.e2e.server_process import ServerProcess

HERE = Path(__file__).parent
PARTS = HERE.parent.parent / ".e2e"

CONFIRMATION_CODE = "123456"
"""What cognito-local "sends" to everybody, instead of a random code."""

# The command that fauxqs comes with listens on all interfaces, and cannot be told to choose a port.
FAUXQS = """
import { buildApp } from "fauxqs";
console.log(await buildApp({ logger: false }).listen({ host: "127.0.0.1", port: 0 }));
"""


def why_missing() -> str | None:
    """What to do before the Node parts can be started, or `None` if they can."""
    if shutil.which("node") is None:
        return "needs Node.js 20 or later, then `make e2e`"
    installed = PARTS / "installed"
    if not installed.exists():
        return "cognito-local and fauxqs are not installed: run `make e2e`"
    if installed.read_bytes() != (HERE / "package-lock.json").read_bytes():
        return "other versions of cognito-local and fauxqs are installed: run `make e2e`"
    return None


def start_fauxqs() -> ServerProcess:
    """Start an empty SQS."""
    return ServerProcess(["node", "--input-type=module", "--eval", FAUXQS], cwd=PARTS, env=os.environ)


def start_cognito_local(folder: Path, *, lambda_address: str, post_confirmation: str) -> ServerProcess:
    """Start a Cognito without user pools, which keeps its state in `folder`.

    Its pools call the function named `post_confirmation`, of the Lambda service at `lambda_address`.
    """
    config = folder / ".cognito" / "config.json"
    config.parent.mkdir()
    config.write_text(
        json.dumps(
            {
                "LambdaClient": {"endpoint": lambda_address, "region": "us-east-1"},
                "TriggerFunctions": {"PostConfirmation": post_confirmation},
                # As in AWS. By itself cognito-local makes everybody sign in with their e-mail address.
                "UserPoolDefaults": {"UsernameAttributes": []},
            }
        )
    )
    return ServerProcess(
        ["node", PARTS / "node_modules/cognito-local/lib/bin/start.js"],
        cwd=folder,
        env={**os.environ, "HOST": "127.0.0.1", "PORT": "0", "CODE": CONFIRMATION_CODE},
    )
