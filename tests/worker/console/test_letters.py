"""The dead letters in the console: the table, one message, and what is done to them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.dlq import Dlq
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess
from tests.worker.console.operator import Answer, Operator
from tests.worker.console.running_console import ConsoleProcess, ConsoleThread, StartConsole

SHOWN = re.compile(r'name="id" value="([^"]+)"').findall

# Numbers, white space, key order and a repeated key that reading and writing anew would change.
ODD = (
    '{"specversion":"1.0","id":"ada","source":"/tests","type":"user.signed_up.v1","time":"2026-01-31T12:00:00Z",'
    '"extra":1.10,"extra":1e400,"\\u0061":-0.0,"data":{"handle":"a b","display_name":"Ada","cognito_user_id":"ada"}}'
)


def plan(answer: Answer) -> str:
    found = re.search(r'action="/letters/act".*?name="plan" value="([^"]+)"', answer.text, re.DOTALL)
    assert found is not None, answer.words
    return found[1]


def checked(answer: Answer) -> str:
    found = re.search(r'name="checked" value="([^"]+)"', answer.text)
    return found[1] if found else ""


def do(operator: Operator, action: str, message_id: str) -> Answer:
    """Select, confirm, and see what came of it."""
    return operator.post("/letters/act", plan=plan(operator.post("/letters/confirm", action=action, id=message_id)))


def test_the_table_shows_what_failed_and_nothing_that_people_wrote(operator: Operator, dlq: Dlq) -> None:
    [ada] = dlq.fill(sign_up("ada", handle="a b"), reason="invalid_event", detail="data.handle: must be visible")
    [crashed] = dlq.fill("{", reason=None)
    operator.post("/letters/look")

    page = operator.get("/letters")

    assert sorted(SHOWN(page.text)) == sorted([ada, crashed])
    assert "invalid_event data.handle: must be visible user.signed_up.v1" in page.words
    assert "worker_crashed unreadable" in page.words
    assert "example.com" not in page.text


def test_filters_choose_and_the_address_says_which(operator: Operator, dlq: Dlq) -> None:
    [ada] = dlq.fill(sign_up("ada"), reason="invalid_event")
    [post] = dlq.fill(activity("ada", "M\u00fcll"), reason="unknown_author")
    operator.post("/letters/look")

    def shown(query: str) -> list[str]:
        return sorted(SHOWN(operator.get(f"/letters?{query}").text))

    assert shown("reason=invalid_event") == [ada]
    assert shown("type=activity.created.v1") == [post]
    assert shown("text=activity.CREATED") == [post]
    assert shown("newer=15m&reason=unknown_author") == [post]
    assert shown("older=1h") == []
    assert shown("reason=nonsense&newer=nonsense&page=nonsense") == []
    assert shown("newer=nonsense&page=-1") == sorted([ada, post])


def test_a_long_table_has_pages(operator: Operator, dlq: Dlq) -> None:
    ids = dlq.fill(*[sign_up(f"user{number}") for number in range(60)])
    operator.post("/letters/look")

    pages = [SHOWN(operator.get(f"/letters?page={number}").text) for number in (1, 2, 3)]

    assert [len(page) for page in pages] == [50, 10, 10]
    assert sorted(pages[0] + pages[1]) == sorted(ids)
    assert "Page 2 of 2" in operator.get("/letters?page=2").words


def test_what_is_replayed_is_the_original_and_what_would_fail_again_is_left_and_named(
    operator: Operator, dlq: Dlq
) -> None:
    bodies = [sign_up("ada"), sign_up("grace")]
    good = dlq.fill(*bodies)
    [broken] = dlq.fill(sign_up("eve", handle="e v"))
    operator.post("/letters/look")

    confirmation = operator.post("/letters/confirm", id=[*good, broken], action="replayed")
    result = operator.post("/letters/act", plan=plan(confirmation))

    assert "Replay 2 messages?" in confirmation.words
    assert "1 more would fail again at once, and stays where it is: data.handle" in confirmation.words
    assert "Done 2 sent back" in result.words
    assert dlq.event_bodies() == sorted(bodies)
    assert dlq.dead_bodies() == [sign_up("eve", handle="e v")]
    assert SHOWN(operator.get("/letters").text) == [broken]


def test_all_that_match_are_those_of_the_confirmation_whatever_arrives_meanwhile(operator: Operator, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), sign_up("grace"), reason="unknown_author")
    dlq.fill(sign_up("linus"), reason="invalid_event")
    operator.post("/letters/look")

    confirmation = operator.post("/letters/confirm", scope="all", reason="unknown_author", action="deleted")
    dlq.fill(sign_up("margaret"), reason="unknown_author")
    result = operator.post("/letters/act", plan=plan(confirmation))

    assert "Delete 2 messages?" in confirmation.words
    assert "2 deleted" in result.words
    assert dlq.dead_bodies() == sorted([sign_up("linus"), sign_up("margaret")])


def test_what_was_confirmed_is_done_once(operator: Operator, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"))
    operator.post("/letters/look")
    key = plan(operator.post("/letters/confirm", scope="all", action="replayed"))

    first, second = operator.post("/letters/act", plan=key), operator.post("/letters/act", plan=key)

    assert "1 sent back" in first.words
    assert (second.status, "confirmed already" in second.words) == (400, True)
    assert len(dlq.event_bodies()) == 1


def test_an_event_with_another_messages_id_is_not_taken_for_it(operator: Operator, dlq: Dlq) -> None:
    [victim] = dlq.fill(sign_up("ada"))
    dlq.fill(sign_up("eve").replace('"id": "eve"', f'"id": "{victim}"'))
    operator.post("/letters/look")

    result = do(operator, "deleted", victim)

    assert "1 deleted" in result.words
    assert dlq.dead_bodies() == [sign_up("eve").replace('"id": "eve"', f'"id": "{victim}"')]


def test_a_message_that_is_gone_is_said_to_be(operator: Operator, dlq: Dlq) -> None:
    [ada, grace] = dlq.fill(sign_up("ada"), sign_up("grace"))
    operator.post("/letters/look")
    confirmation = operator.post("/letters/confirm", id=[ada, grace], action="replayed")
    dlq.delete(ada)

    result = operator.post("/letters/act", plan=plan(confirmation))

    assert "Not all of it was done" in result.words
    assert f"{ada} it is not there any more, or somebody else holds it" in result.words
    assert dlq.event_bodies() == [sign_up("grace")]


def test_without_a_tick_it_is_about_all_that_match_as_they_are_now(start_console: StartConsole, dlq: Dlq) -> None:
    console = start_console(CONSOLE_REFRESH_SECONDS="600")  # by itself it does not look again
    operator = Operator(console.address).log_in(console.token)
    dlq.fill(sign_up("ada"), reason="unknown_author")
    assert "1 of 1" in operator.get("/letters").words
    dlq.fill(sign_up("grace"), sign_up("linus"), reason="unknown_author")
    dlq.fill("broken", reason="invalid_event")

    def confirm() -> Answer:
        return operator.post("/letters/confirm", reason="unknown_author", action="replayed")

    # On a busy machine reading may take longer than a page waits; it says how old what it says is.
    wait_until(lambda: "Replay 3 messages?" in confirm().words, 60, "it does not read again")
    confirmation = confirm()
    assert re.search(r"as read \d+s ago", confirmation.words)

    assert "3 sent back" in operator.post("/letters/act", plan=plan(confirmation)).words
    assert dlq.dead_bodies() == ["broken"]


def test_what_cannot_be_done_is_explained(operator: Operator, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"))
    operator.post("/letters/look")

    gone = operator.post("/letters/confirm", id="gone", action="deleted")

    assert (gone.status, "They are not there any more" in gone.words) == (400, True)
    assert operator.post("/letters/confirm", action="nonsense").status == 400
    confirmation = operator.post("/letters/confirm", action="replayed")
    assert operator.post("/letters/act", plan=plan(confirmation), rate="fast").status == 400
    assert "1 sent back" in operator.post("/letters/act", plan=plan(confirmation), rate="5").words


def test_there_is_no_button_that_would_do_nothing(operator: Operator, dlq: Dlq) -> None:
    broken = dlq.fill("broken", sign_up("eve", handle="e v"))

    confirmation = operator.post("/letters/confirm", action="replayed")

    assert "Nothing would work" in confirmation.words
    assert "2 would fail again at once" in confirmation.words
    assert "/letters/act" not in confirmation.text
    assert sorted(SHOWN(operator.get("/letters").text)) == sorted(broken)


def test_what_failed_alike_is_a_group_one_click_away(operator: Operator, dlq: Dlq) -> None:
    dlq.fill(
        *[sign_up(f"user{n}", display_name="") for n in range(3)], reason="invalid_event", detail="data.display_name: x"
    )
    [other] = dlq.fill(sign_up("eve", handle="e v"), reason="invalid_event", detail="data.handle: y")
    operator.post("/letters/look")

    page = operator.get("/letters")
    assert re.search(r"invalid_event data\.display_name: x 3 \d+s ago 3", page.words)
    [link] = re.findall(r'href="(/letters\?reason=invalid_event&amp;detail=data\.handle[^"]*)"', page.text)
    assert SHOWN(operator.get(link.replace("&amp;", "&")).text) == [other]


def test_the_table_is_sorted_as_asked(operator: Operator, dlq: Dlq) -> None:
    [ada] = dlq.fill(sign_up("ada"), reason="unknown_author")
    [broken] = dlq.fill("broken", reason="invalid_event")
    [post] = dlq.fill(activity("ada"), reason="unknown_parent")
    operator.post("/letters/look")

    assert SHOWN(operator.get("/letters?sort=reason").text) == [broken, ada, post]
    assert SHOWN(operator.get("/letters?sort=type").text) == [post, broken, ada]


def test_looking_hides_nothing_for_long_and_is_done_again(operator: Operator, dlq: Dlq) -> None:
    dlq.fill(*[sign_up(f"user{number}") for number in range(15)])
    operator.post("/letters/look")
    wait_until(lambda: dlq.visible() == 15, 20, "a look has not released the messages")

    dlq.fill(sign_up("ada"))

    wait_until(lambda: total(operator) == 16, 60, "the console does not look by itself")


def total(operator: Operator) -> int:
    """How many dead letters the last look has seen."""
    return int(json.loads(operator.get("/letters/news").text)["total"])


def test_stopping_releases_all_that_is_held(
    start_console_process: Callable[..., ConsoleProcess], proxy: FaultProxy, dlq: Dlq
) -> None:
    dlq.fill(*[sign_up(f"user{number}") for number in range(15)])
    console = start_console_process(endpoint_url=proxy.endpoint_url)
    operator = Operator(console.address).log_in(console.token)
    proxy.delay("ReceiveMessage", 1.0)  # so that a look takes its time
    wait_until(lambda: total(operator) == 0 and dlq.held() > 0, 120, "a page does not make the console look")

    console.terminate()

    assert console.wait() == 0
    assert (dlq.visible(), dlq.held()) == (15, 0)


def test_a_queue_that_would_move_messages_on_is_not_looked_at(
    start_console: StartConsole, queues: Queues, dlq: Dlq
) -> None:
    dlq.fill(sign_up("ada"))
    other = queues.client.create_queue(QueueName="elsewhere")["QueueUrl"]
    arn = queues.client.get_queue_attributes(QueueUrl=other, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    queues.client.set_queue_attributes(QueueUrl=queues.dlq_url, Attributes={"RedrivePolicy": policy})
    console = start_console()

    page = Operator(console.address).log_in(console.token).get("/letters")

    assert "has a redrive policy of its own" in page.words
    assert queues.dead_letter_count() == 1


def test_one_message_says_why_it_failed_and_is_masked_until_it_is_revealed(
    console: ConsoleThread, operator: Operator, dlq: Dlq
) -> None:
    [ada] = dlq.fill(sign_up("ada", handle="a b", display_name="Ada L."), reason="invalid_event", detail="data.handle")
    operator.post("/letters/look")

    masked = operator.get(f"/letters/{ada}")
    revealed = operator.post(f"/letters/{ada}/reveal")

    assert (
        "Invalid: the worker would refuse it today. data.handle: must be visible, without white space" in masked.words
    )
    assert '"email" : text, 15 characters' in masked.words
    for personal in ("ada@example.com", "Ada L.", "a b", "north"):
        assert personal not in masked.words
        assert personal in revealed.words
    assert console.wait_for_audit("revealed")["subject"] == ada
    assert "ada@example.com" not in operator.post("/hide").text
    assert "Ada L." not in operator.get(f"/letters/{ada}").words


def test_what_one_operator_reveals_stays_masked_for_another(
    console: ConsoleThread, operator: Operator, dlq: Dlq
) -> None:
    [ada] = dlq.fill(sign_up("ada"))
    operator.post("/letters/look")
    operator.post(f"/letters/{ada}/reveal")

    other = Operator(console.address).log_in(console.token, "Linus")

    assert "ada@example.com" not in other.get(f"/letters/{ada}").text
    assert "ada@example.com" in operator.get(f"/letters/{ada}").text


def test_an_edit_is_checked_shown_and_sent_and_the_rest_stays_as_it_was(operator: Operator, dlq: Dlq) -> None:
    [ada] = dlq.fill(ODD, reason="invalid_event")
    operator.post("/letters/look")
    assert operator.get(f"/letters/{ada}/edit").status == 303  # not before it is revealed
    page = operator.post(f"/letters/{ada}/open")
    text = json_text(page)
    assert '"extra": 1.10,' in text

    still_wrong = operator.post(f"/letters/{ada}/check", text=text.replace("a b", "a  b"))
    unseen = operator.post(f"/letters/{ada}/send", text=text.replace("a b", "ada"), checked="")
    right = operator.post(f"/letters/{ada}/check", text=text.replace("a b", "ada").replace("\n", "\r\n"))
    assert dlq.queues.counts() == (0, 0, 0)
    sent = operator.post(f"/letters/{ada}/send", text=text.replace("a b", "ada"), checked=checked(right))

    assert "Invalid: it cannot be sent" in still_wrong.words
    assert checked(still_wrong) == ""
    assert "Send it back" in unseen.words  # first the difference
    assert '- "handle": "a b", + "handle": "ada",' in right.words
    assert "1 edited and sent back" in sent.words
    assert dlq.event_bodies() == [ODD.replace("a b", "ada")]
    assert dlq.dead_bodies() == []


def test_an_edit_that_changes_nothing_sends_nothing(operator: Operator, dlq: Dlq) -> None:
    [ada] = dlq.fill(sign_up("ada"))
    operator.post("/letters/look")
    text = json_text(operator.post(f"/letters/{ada}/open"))

    answer = operator.post(f"/letters/{ada}/check", text=text)

    assert "Nothing is changed yet" in answer.words
    assert checked(answer) == ""


def test_a_copy_of_what_is_deleted_can_be_imported(operator: Operator, dlq: Dlq, tmp_path: Path) -> None:
    [ada] = dlq.fill(sign_up("ada"))
    operator.post("/letters/look")
    key = plan(operator.post("/letters/confirm", id=ada, action="deleted"))
    file = tmp_path / "copy.jsonl"

    copy = operator.post("/letters/copy", plan=key)
    file.write_text(copy.text)
    operator.post("/letters/act", plan=key)

    assert "attachment" in copy.headers["content-disposition"]
    assert dlq.dead_bodies() == []
    assert dlq.run("import", str(file)).returncode == 0
    assert dlq.event_bodies() == [sign_up("ada")]


def test_news_are_counted_and_the_table_is_left_alone(operator: Operator, dlq: Dlq) -> None:
    [ada, grace] = dlq.fill(sign_up("ada"), sign_up("grace"))
    operator.post("/letters/look")
    page = operator.get("/letters")
    since = re.search(r'data-since="([^"]+)"', page.text)
    assert since is not None
    query = f"/letters/news?since={since[1]}&ids={ada},{grace}"
    assert json.loads(operator.get(query).text) == {"total": 2, "newer": 0, "gone": 0}

    do(operator, "deleted", ada)
    dlq.fill(sign_up("linus"))
    operator.post("/letters/look")

    assert json.loads(operator.get(query).text) == {"total": 2, "newer": 1, "gone": 1}


def test_a_broken_sign_up_becomes_a_row(
    operator: Operator, dlq: Dlq, database_url: str, drain: Callable[..., WorkerProcess]
) -> None:
    [ada] = dlq.fill(sign_up("ada", handle="a b"), reason="invalid_event")
    operator.post("/letters/look")
    text = json_text(operator.post(f"/letters/{ada}/open")).replace("a b", "ada")

    result = operator.post(
        f"/letters/{ada}/send", text=text, checked=checked(operator.post(f"/letters/{ada}/check", text=text))
    )
    drain()

    assert "Is this user's row there?" in result.words
    assert names(database_url) == {"ada"}
    assert "They have a row" in operator.get("/users?id=ada").words


def json_text(page: Answer) -> str:
    """What is in the editor."""
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.DOTALL)
    assert found is not None, page.words
    return found[1].replace("&#34;", '"').replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")


def test_what_is_too_much_to_be_kept_is_counted_and_said_to_be(operator: Operator, dlq: Dlq) -> None:
    for _ in range(36):
        dlq.fill("x" * 1_000_000)  # one a call, which SQS limits too
    assert operator.post("/letters/look").status == 200

    page = operator.get("/letters")

    assert "33 of 36" in page.words
    assert "3 more are only counted" in page.words


def set_member(operator: Operator, member: str, value: str, **form: Any) -> Answer:
    """As far as the page that shows what would be sent."""
    opened = operator.post("/letters/set", **form)
    found = re.search(r'name="plan" value="([^"]+)"', opened.text)
    assert found is not None, opened.words
    return operator.post("/letters/set", plan=found[1], member=member, value=value)


def hidden(answer: Answer) -> dict[str, Any]:
    """The fields of the form that sends."""
    form = answer.text.partition('action="/letters/set/send"')[2]
    return dict(re.findall(r'type="hidden" name="(plan|member|value)" value="([^"]*)"', form))


def test_a_member_is_set_in_a_whole_group(operator: Operator, dlq: Dlq) -> None:
    detail = "data.display_name: String should have at least 1 character"
    dlq.fill(*[sign_up(f"user{n}", display_name="") for n in range(12)], reason="invalid_event", detail=detail)
    dlq.fill("broken", reason="invalid_event", detail="the event is not JSON")
    operator.post("/letters/look")
    group: dict[str, Any] = {"reason": "invalid_event", "detail": "data.display_name"}

    assert 'value="data.display_name"' in operator.post("/letters/set", **group).text
    shown = set_member(operator, "data.display_name", "Unknown", **group)
    assert "Valid: the worker would take all of them." in shown.words
    assert re.search(r"data\.display_name empty text Unknown [0-9a-f]{8} and 11 alike", shown.words)
    assert "@example.com" not in shown.text

    refused = operator.post("/letters/set/send", **hidden(shown), number="11")
    assert (refused.status, "type their number, 12" in refused.words) == (400, True)
    assert "Done 12 edited and sent back" in operator.post("/letters/set/send", **hidden(shown), number="12").words
    assert all(json.loads(body)["data"]["display_name"] == "Unknown" for body in dlq.event_bodies())
    assert dlq.dead_bodies() == ["broken"]
    assert operator.post("/letters/set/send", **hidden(shown), number="12").status == 400


def test_an_attribute_is_set_and_not_found_by_who_sees_it_masked(operator: Operator, dlq: Dlq) -> None:
    attributes = {"custom:tenant_id": 7, "custom:team": "secret-team"}
    detail = "data.attributes: Input should be a valid string"
    [ada] = dlq.fill(sign_up("ada", attributes=attributes), reason="invalid_event", detail=detail)
    operator.post("/letters/look")
    assert SHOWN(operator.get("/letters?text=secret-team").text) == []

    shown = set_member(operator, "data.attributes.custom:tenant_id", "north", id=ada)

    assert "data.attributes.custom:tenant_id a number north" in shown.words
    assert "secret-team" not in shown.text + operator.get(f"/letters/{ada}").text
    assert "Done 1 edited and sent back" in operator.post("/letters/set/send", **hidden(shown), number="1").words
    [body] = dlq.event_bodies()
    assert json.loads(body)["data"]["attributes"] == {"custom:tenant_id": "north", "custom:team": "secret-team"}


def test_what_would_still_be_refused_stays(operator: Operator, dlq: Dlq) -> None:
    dlq.fill(
        sign_up("ada", display_name=""), sign_up("eve", display_name="", handle="e v"), "[]", reason="invalid_event"
    )

    shown = set_member(operator, "data.display_name", "Unknown")
    assert "1 would be valid, 2 would not, and stay where they are." in shown.words
    assert "Done 1 edited and sent back" in operator.post("/letters/set/send", **hidden(shown), number="1").words

    assert sorted(dlq.dead_bodies()) == sorted([sign_up("eve", display_name="", handle="e v"), "[]"])
    none = set_member(operator, "data.handle", "with space")
    assert "None would be valid, and all stay where they are." in none.words
    assert "/letters/set/send" not in none.text
    assert operator.post("/letters/set", member="data..x", value="1").status == 400
    # One that is over does not become all that match.
    assert operator.post("/letters/set", plan="over", member="data.handle", value="x").status == 400


def test_what_is_left_of_a_replay_can_be_edited_and_nothing_else(operator: Operator, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), *[sign_up(f"user{n}", display_name="") for n in range(3)])

    confirmation = operator.post("/letters/confirm", action="replayed")
    [plan_] = re.findall(r'action="/letters/set".*?name="plan" value="([^"]+)"', confirmation.text, re.DOTALL)

    assert "Set a member of these 3" in confirmation.words
    assert "Set a member of 3 events" in operator.post("/letters/set", plan=plan_).words
