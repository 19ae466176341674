"""Bill of materials of the image: what is in it, from the files that it is built from, as CycloneDX 1.6 (JSON).

It says what was pinned: Python's packages with the hashes of which `pip install --require-hashes` takes one, our own
distributions, and the base image. What the base image consists of, its own publisher says. The same files give the same
text, so that two builds can be compared.

    python -m deploy.bill_of_materials > signup-sync.cdx.json
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]

# A line of requirements/worker.txt: name, version, perhaps a marker, and hashes (pip documentation, "Requirements File
# Format").
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?: ; (?P<marker>[^\\]*?))?"
    r"(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
_BASE = re.compile(r"^ARG BASE=(?P<name>[^:@]+):(?P<tag>[^@\s]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?$", re.MULTILINE)


class Unpinned(Exception):
    """One line that names what is not pinned."""


def bill_of_materials(root: Path = _ROOT) -> dict[str, Any]:
    """Of the image that is built from this clone. Raises `Unpinned` and `OSError`.

    CycloneDX 1.6, JSON Reference: `components`, `purl` (Package URL), `properties` for what it has no place for.
    """
    project, client = (_project(root / folder) for folder in (".", "signup_sync"))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": project["name"], "version": project["version"]}},
        "components": [
            _base((root / "Dockerfile").read_text()),
            *(_distribution(own["name"], own["version"]) for own in (project, client)),
            *_pinned((root / "requirements" / "worker.txt").read_text()),
        ],
    }


def _project(folder: Path) -> dict[str, str]:
    project: dict[str, str] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return project


def _base(dockerfile: str) -> dict[str, Any]:
    found = _BASE.search(dockerfile)
    if found is None:
        raise Unpinned("the Dockerfile's ARG BASE names no image and tag")
    properties = [{"name": "signup-sync:digest", "value": found["digest"]}] if found["digest"] else []
    return {"type": "container", "name": found["name"], "version": found["tag"], "properties": properties}


def _pinned(requirements: str) -> list[dict[str, Any]]:
    joined = re.sub(r" *\\\n *", " ", requirements)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [_requirement(line) for line in lines]


def _requirement(line: str) -> dict[str, Any]:
    found = _REQUIREMENT.fullmatch(line)
    if found is None:
        raise Unpinned(f"requirements/worker.txt: {line.partition(' ')[0]} has no version, or no hash")
    component = _distribution(found["name"], found["version"])
    # Of several files of one version, of which one is installed: so they are not its `hashes`.
    properties = [{"name": "signup-sync:one-of", "value": value} for value in _HASH.findall(found["hashes"])]
    if found["marker"]:
        component["scope"] = "optional"
        properties.append({"name": "signup-sync:where", "value": found["marker"].strip()})
    return {**component, "properties": properties}


def _distribution(name: str, version: str) -> dict[str, Any]:
    # Package URL specification, "pypi": in lower case, with - for _.
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def main() -> int:
    """Write it to standard output; returns the exit status."""
    try:
        text = json.dumps(bill_of_materials(), indent=2)
    except (Unpinned, OSError) as error:
        sys.stderr.write(f"bill-of-materials: {error}\n")
        return 2
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
