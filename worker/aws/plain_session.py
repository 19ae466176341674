"""boto3's default session, with botocore's data in plain dictionaries, which are 4 MB less.

botocore reads its endpoints, a megabyte and a half of JSON, into an `OrderedDict` for each object, and keeps them
(botocore 1.44, `botocore/loaders.py`, `JSONFileLoader`). A `dict` has the same order.
"""

import gzip
from contextlib import suppress
from typing import Any

from botocore.loaders import JSONFileLoader
from pydantic_core import from_json

_OPENERS: dict[str, Any] = {".json": open, ".json.gz": gzip.open}  # the first that is there


class PlainLoader(JSONFileLoader):
    """Reads as botocore's own."""

    def load_file(self, file_path: str) -> Any:
        """What is in the file, whose ending is left out; None if there is none."""
        for ending, opener in _OPENERS.items():
            with suppress(FileNotFoundError), opener(f"{file_path}{ending}", "rb") as file:
                return from_json(file.read())
        return None


def use_plain_session() -> None:
    """For all clients to come that are made without a session of their own."""
    import boto3  # noqa: PLC0415 (see `signup_sync.sqs.connect`)
    import botocore.session  # noqa: PLC0415

    session = botocore.session.get_session()
    session.get_component("data_loader").file_loader = PlainLoader()
    boto3.setup_default_session(botocore_session=session)
