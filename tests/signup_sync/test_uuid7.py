from itertools import pairwise
from uuid import RFC_4122

from hypothesis import given
from hypothesis import strategies as st

from signup_sync.uuid7 import uuid7

MILLISECONDS = st.integers(min_value=0, max_value=2**48 - 1)


@given(MILLISECONDS)
def test_a_uuid_has_its_time_and_the_version_and_variant_of_the_rfc(milliseconds: int) -> None:
    uuid = uuid7(milliseconds)

    assert (uuid.int >> 80, uuid.version, uuid.variant) == (milliseconds, 7, RFC_4122)


@given(st.sets(MILLISECONDS, min_size=2))
def test_uuids_are_in_order_of_their_time(times: set[int]) -> None:
    made = [uuid7(milliseconds) for milliseconds in sorted(times)]

    assert all(earlier < later and str(earlier) < str(later) for earlier, later in pairwise(made))


@given(MILLISECONDS)
def test_uuids_of_one_millisecond_differ(milliseconds: int) -> None:
    assert len({uuid7(milliseconds) for _ in range(100)}) == 100


def test_each_random_bit_is_used() -> None:
    made = [uuid7(0).int for _ in range(200)]
    ever, always = 0, -1
    for number in made:
        ever |= number
        always &= number

    fixed = 0x7 << 76 | 0b10 << 62
    assert always == fixed
    assert ever == fixed | 0xFFF << 64 | 2**62 - 1
