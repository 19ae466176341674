from worker.console.sessions import MAX_PLANS, MAX_SESSIONS, Plan, Sessions


def test_sessions_are_bounded_and_the_oldest_ends_first() -> None:
    sessions = Sessions("token")
    opened = [sessions.open("token", str(number)) for number in range(MAX_SESSIONS + 1)]

    found = [session is not None and sessions.find(session.id) is session for session in opened]

    assert found == [False] + [True] * MAX_SESSIONS


def test_a_session_that_is_not_used_ends() -> None:
    sessions = Sessions("token")
    session = sessions.open("token", "Grace")
    assert session is not None
    session.used_at -= 3601

    assert sessions.find(session.id) is None


def test_a_session_ends_however_much_it_is_used() -> None:
    sessions = Sessions("token")
    session = sessions.open("token", "Grace")
    assert session is not None
    session.started_at -= 43_201

    assert sessions.find(session.id) is None


def test_plans_are_bounded_and_can_be_taken_once() -> None:
    session = Sessions("token").open("token", "Grace")
    assert session is not None
    keys = [session.remember(Plan("deleted", (str(number),))) for number in range(MAX_PLANS + 1)]

    assert session.plan(keys[0]) is None
    assert session.take_plan(keys[1]) == Plan("deleted", ("1",))
    assert session.take_plan(keys[1]) is None


def test_nothing_but_the_token_opens_a_session() -> None:
    sessions = Sessions("token")

    assert [sessions.open(text, "Eve") for text in ("", "Token", "token ", "\ud800")] == [None] * 4
