"""UUIDs of version 7, which are in order of the time at which they were made."""

import os
from uuid import UUID


def uuid7(milliseconds: int) -> UUID:
    """A UUID of that Unix time, which has 48 bits; all that it does not say is random (RFC 9562, 5.7 "UUID Version 7").

    Those of one millisecond are in no order. (`uuid.uuid7` is in Python from 3.14 on.)
    """
    version, variant = 0b0111, 0b10
    random = int.from_bytes(os.urandom(10))
    random_12, random_62 = random >> 68, random & (1 << 62) - 1
    return UUID(int=milliseconds << 80 | version << 76 | random_12 << 64 | variant << 62 | random_62)
