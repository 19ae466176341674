"""botocore's data, read into plain dictionaries."""

from pathlib import Path

import botocore
import pytest
from botocore.loaders import JSONFileLoader

from worker.aws.plain_session import PlainLoader

DATA = Path(botocore.__file__).parent / "data"


@pytest.mark.parametrize(
    "name", ["endpoints", "partitions", "sqs/2012-11-05/service-2", "sqs/2012-11-05/endpoint-rule-set-1", "missing"]
)
def test_it_reads_what_botocore_reads_in_the_same_order(name: str) -> None:
    path = str(DATA / name)

    # As text, in which the order counts.
    assert repr(PlainLoader().load_file(path)) == repr(_plain(JSONFileLoader().load_file(path)))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, list) else value
