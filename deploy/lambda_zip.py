"""The Lambda's zip: the same bytes for the same code, whoever makes it and when."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]

# The earliest time that a zip can hold (PKWARE APPNOTE, 4.4.6 "date and time fields").
_TIME = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644 << 16


@dataclass(frozen=True)
class LambdaZip:
    content: bytes

    @property
    def key(self) -> str:
        """Its name in the bucket: new code has a new name, which is how CloudFormation sees that there is any."""
        return f"trigger/{hashlib.sha256(self.content).hexdigest()}.zip"


def build(package: Path = _ROOT / "trigger_lambda") -> LambdaZip:
    """Zip the package's modules. boto3 is part of Lambda's Python runtime, and not of the zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(package.glob("*.py")):
            entry = zipfile.ZipInfo(f"{package.name}/{path.name}", _TIME)
            entry.external_attr = _READABLE
            entry.create_system = 3  # Unix, whatever this is
            # Stored: compressors differ between versions of zlib, and these are a few kilobytes.
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_STORED)
    return LambdaZip(buffer.getvalue())
