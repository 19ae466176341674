from concurrent.futures import ThreadPoolExecutor

from worker.console.identity.people import Person
from worker.console.sessions import MAX_PLANS, MAX_SESSIONS, Plan, Sessions, Tokens


def test_sessions_are_bounded_and_the_oldest_ends_first() -> None:
    sessions = Sessions(Tokens("token"))
    opened = [sessions.open("token", str(number)) for number in range(MAX_SESSIONS + 1)]

    found = [session is not None and sessions.find(session.id) is session for session in opened]

    assert found == [False] + [True] * MAX_SESSIONS


def test_a_session_that_is_not_used_ends() -> None:
    sessions = Sessions(Tokens("token"))
    session = sessions.open("token", "Grace")
    assert session is not None
    session.used_at -= 3601

    assert sessions.find(session.id) is None


def test_a_session_ends_however_much_it_is_used() -> None:
    sessions = Sessions(Tokens("token"))
    session = sessions.open("token", "Grace")
    assert session is not None
    session.started_at -= 43_201

    assert sessions.find(session.id) is None


def test_plans_are_bounded_and_can_be_taken_once() -> None:
    session = Sessions(Tokens("token")).open("token", "Grace")
    assert session is not None
    keys = [session.remember(Plan("deleted", (str(number),))) for number in range(MAX_PLANS + 1)]

    assert session.plan(keys[0]) is None
    assert session.take_plan(keys[1]) == Plan("deleted", ("1",))
    assert session.take_plan(keys[1]) is None


def test_nothing_but_the_token_opens_a_session() -> None:
    sessions = Sessions(Tokens("token"))

    assert [sessions.open(text, "Eve") for text in ("", "Token", "token ", "\ud800")] == [None] * 4


def test_a_token_that_nobody_has_given_opens_one_session_and_the_next_one_is_announced() -> None:
    announced: list[str] = []
    tokens = Tokens(announce=announced.append)
    sessions = Sessions(tokens)
    first = tokens.newest

    assert sessions.open("x", "Eve") is None
    assert announced == []
    assert sessions.open(first, "Grace") is not None
    assert sessions.open(first, "Eve") is None
    assert announced == [tokens.newest]
    assert sessions.open(tokens.newest, "Linus") is not None
    assert len({first, *announced}) == 3


def test_of_many_who_have_the_same_link_one_gets_in() -> None:
    tokens = Tokens()
    sessions = Sessions(tokens)
    token = tokens.newest

    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda who: sessions.open(token, str(who)), range(64)))

    assert sum(session is not None for session in opened) == 1


def test_a_token_that_was_given_is_announced_to_nobody() -> None:
    announced: list[str] = []
    sessions = Sessions(Tokens("token", announced.append))

    assert [sessions.open("token", "Grace") is None for _ in range(2)] == [False] * 2
    assert announced == []


def test_who_is_proved_by_each_request_has_one_session_at_a_time() -> None:
    sessions = Sessions(Tokens("token"))
    grace, linus = Person("Grace", "alb"), Person("Linus", "alb")
    first, is_new = sessions.of(grace)

    assert is_new
    assert sessions.of(grace) == (first, False)
    assert sessions.of(linus)[0] is not first
    first.started_at -= 43_201
    second, is_new = sessions.of(grace)
    assert (second is first, is_new) == (False, True)
    sessions.close(second)
    assert sessions.of(grace)[0] is not second


def test_sessions_of_people_without_end_are_bounded() -> None:
    sessions = Sessions(Tokens("token"))
    people = [Person(str(number), "alb") for number in range(MAX_SESSIONS + 1)]
    first = [sessions.of(person)[0] for person in people]

    assert sessions.of(people[-1])[0] is first[-1]
    assert sessions.of(people[0])[0] is not first[0]
