"""The bill of materials: all that is pinned, and nothing else."""

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deploy.bill_of_materials import Unpinned, bill_of_materials

ROOT = Path(__file__).parents[2]
FILES = ["Dockerfile", "pyproject.toml", "signup_sync/pyproject.toml", "requirements/worker.txt"]
DIGEST = f"sha256:{'ab' * 32}"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that it is made from, to be changed."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def values(component: dict[str, Any], name: str) -> list[str]:
    return [one["value"] for one in component["properties"] if one["name"] == f"signup-sync:{name}"]


def test_it_has_every_package_that_the_image_has_with_all_hashes() -> None:
    requirements = (ROOT / "requirements" / "worker.txt").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    bill = bill_of_materials()

    base, ours, client, *pinned = bill["components"]
    assert [f"{one['name']}=={one['version']}" for one in pinned] == re.findall(
        r"^[\w.-]+==[^ ;]+", requirements, re.MULTILINE
    )
    assert [value for one in pinned for value in values(one, "one-of")] == re.findall(
        r"sha256:[0-9a-f]{64}", requirements
    )
    assert [one["name"] for one in (ours, client)] == ["signup-sync", "signup-sync-client"]
    assert f"{base['name']}:{base['version']}" in (ROOT / "Dockerfile").read_text()
    assert bill["metadata"]["component"] == {"type": "container", "name": "signup-sync", "version": version}
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")


def test_each_component_has_one_name_of_its_own() -> None:
    names = [one["purl"] for one in bill_of_materials()["components"][1:]]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9.-]+@[0-9][\w.]*", name) for name in names)


def test_the_same_files_give_the_same_text(clone: Path) -> None:
    assert json.dumps(bill_of_materials(clone)) == json.dumps(bill_of_materials())


def test_what_is_installed_only_somewhere_is_optional(clone: Path) -> None:
    (clone / "requirements/worker.txt").write_text(
        f"# none\ntzdata==2026.6 ; sys_platform == 'win32' \\\n    --hash={DIGEST}\nA_b==1.0 \\\n    --hash={DIGEST}\n"
    )

    *_, somewhere, everywhere = bill_of_materials(clone)["components"]

    assert (somewhere["scope"], values(somewhere, "where")) == ("optional", ["sys_platform == 'win32'"])
    assert (everywhere["purl"], "scope" in everywhere) == ("pkg:pypi/a-b@1.0", False)


def test_a_base_image_that_is_pinned_has_its_digest(clone: Path) -> None:
    dockerfile = clone / "Dockerfile"
    dockerfile.write_text(re.sub(r"(ARG BASE=[^@\n]*).*", rf"\1@{DIGEST}", dockerfile.read_text()))

    base = bill_of_materials(clone)["components"][0]

    assert values(base, "digest") == [DIGEST]


@pytest.mark.parametrize("line", ["boto3\n", "boto3==1.0\n", f"boto3>=1.0 \\\n    --hash={DIGEST}\n"])
def test_what_is_not_pinned_has_no_bill(clone: Path, line: str) -> None:
    (clone / "requirements/worker.txt").write_text(line)

    with pytest.raises(Unpinned, match=r"boto3.* has no version, or no hash"):
        bill_of_materials(clone)
