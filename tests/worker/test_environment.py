"""What is read of the environment without `worker.settings` is what `worker.settings` would read."""

import pytest

from worker.environment import admin_addresses
from worker.settings import AdminSettings, InvalidSettings


@pytest.mark.parametrize(
    ("environment", "addresses"),
    [
        ({}, [("127.0.0.1", 9090)]),
        ({"ADMIN_ADDRESS": "", "PROCESSES": ""}, [("127.0.0.1", 9090)]),
        ({"ADMIN_ADDRESS": "[::1]:80", "PROCESSES": "2"}, [("::1", 80), ("::1", 81)]),
        ({"ADMIN_ADDRESS": "worker.local:9090", "PROCESSES": " 1 "}, [("worker.local", 9090)]),
        ({"ADMIN_ADDRESS": "off", "PROCESSES": "64"}, []),
    ],
)
def test_both_read_the_same(environment: dict[str, str], addresses: list[tuple[str, int]]) -> None:
    settings = AdminSettings.from_environment(environment)

    assert admin_addresses(environment) == addresses
    assert settings.admin == (addresses[0] if addresses else None)
    assert settings.processes == max(1, len(addresses)) or not addresses


@pytest.mark.parametrize(
    "environment",
    [
        *({"ADMIN_ADDRESS": text} for text in ("9090", ":9090", "localhost:", "localhost:x", "localhost:65536", "on")),
        *({"PROCESSES": text} for text in ("0", "65", "-1", "two", "1.5", "٣", "9" * 5000)),
    ],
)
def test_both_refuse_the_same_in_the_same_words(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings) as by_settings:
        AdminSettings.from_environment(environment)
    with pytest.raises(ValueError, match="should be") as by_environment:
        admin_addresses(environment)

    assert str(by_environment.value) == str(by_settings.value)
