from itertools import islice, pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from signup_sync.backoff import exponential
from worker.pipeline.retry_delay import FIRST_DELAY, MAX_DELAY, SPAN, retry_delay

attempts = st.integers(min_value=1, max_value=1000)  # of which SQS takes as many as maxReceiveCount

MAX_VISIBILITY_TIMEOUT = 43_200  # seconds


@example(2)
@example(3)
@example(11)  # the most where doubling alone would not do, as the last delay would be cut to the longest
@example(12)
@example(5000)  # more than SQS allows
@given(st.integers(min_value=2, max_value=1000))
def test_the_delays_span_a_quarter_of_an_hour_within_the_attempts(max_attempts: int) -> None:
    shortest = min(sum(delays(max_attempts)) for _ in range(20))

    assert shortest >= SPAN - max_attempts / 2  # each is rounded to a second
    if max_attempts <= 11:
        assert shortest < 1.25 * 1024 + max_attempts


def delays(max_attempts: int) -> list[int]:
    """Those of the first 40 attempts, at most: the longest is reached long before."""
    return [retry_delay(attempt, max_attempts) for attempt in range(1, min(max_attempts, 40))]


@given(max_attempts=st.integers(min_value=3, max_value=1000))
def test_the_first_delay_is_about_a_second(max_attempts: int) -> None:
    assert retry_delay(1, max_attempts) == round(FIRST_DELAY)


@given(max_attempts=st.integers(min_value=13, max_value=1000), attempt=attempts)
def test_with_many_attempts_no_delay_is_longer_than_minutes(max_attempts: int, attempt: int) -> None:
    assert retry_delay(attempt, max_attempts) <= 1.25 * MAX_DELAY


@given(attempt=attempts, max_attempts=attempts)
def test_every_delay_is_one_that_sqs_takes(attempt: int, max_attempts: int) -> None:
    assert 1 <= retry_delay(attempt, max_attempts) <= MAX_VISIBILITY_TIMEOUT


@given(max_attempts=st.integers(min_value=4, max_value=11))
def test_each_delay_is_longer_than_the_one_before(max_attempts: int) -> None:
    assert all(shorter < longer for shorter, longer in pairwise(delays(max_attempts)))


def test_a_message_received_more_often_than_allowed_waits_as_long_as_the_last() -> None:
    assert retry_delay(50, 5) >= min(retry_delay(4, 5) for _ in range(20))


def test_messages_that_failed_together_do_not_come_back_together() -> None:
    assert len({retry_delay(4, 5) for _ in range(200)}) > 20


@given(first=st.floats(min_value=0.01, max_value=10), factor=st.floats(min_value=1.1, max_value=4))
def test_an_exponential_delay_grows_to_the_longest_and_is_jittered_down(first: float, factor: float) -> None:
    longest = first * 50

    jittered = list(islice(exponential(first, longest, factor), 60))

    for number, delay in enumerate(jittered):
        undisturbed = min(first * factor**number, longest)
        assert 0.499 * undisturbed <= delay <= 1.001 * undisturbed


def test_exponential_delays_of_two_are_not_the_same() -> None:
    assert list(islice(exponential(1, 60), 5)) != list(islice(exponential(1, 60), 5))
