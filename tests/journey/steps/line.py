"""The waiting room's half of the steps, and what every answer has in common."""

import json
from collections.abc import Sequence
from typing import Any

from pytest_bdd import given, then, when

from tests.journey.stage import FORGED, Asked, Person, Stage, data_of
from tests.journey.wordings import VERBS, said
from tests.until import until
from tests.web.stack import SOON_S, Event, at_once, instant_ms, refused

# Words of a table that stand for what differs at every run.
SOME, NONE = {"some", "있음"}, {"none", "없음"}


@given(said("a waiting room"))
@given(said("대기실이 있다"))
def waiting_room(stage: Stage) -> None:
    stage.open("trial")


@given(said("a waiting room that lets nobody in"))
@given(said("아무도 들여보내지 않는 대기실이 있다"))
def paused_room(stage: Stage) -> None:
    stage.open("trial", mode="paused")


@given(said("a waiting room for {count} visitor at a time"))
@given(said("한 번에 {count}명만 들여보내는 대기실이 있다"))
def narrow_room(stage: Stage, count: str) -> None:
    stage.open("trial", activeMax=int(count))


@given(said("대기 인원이 최대 {count}명인 대기실이 있다"))
def small_room(stage: Stage, count: str) -> None:
    stage.open("trial", mode="paused", waitingMax=int(count))


@given(said("a waiting room that gives {seconds} second to activate"))
@given(said("{seconds}초 안에 활성화해야 하는 대기실이 있다"))
def hasty_room(stage: Stage, seconds: str) -> None:
    stage.open("trial", readySeconds=int(seconds))


@given(said("a waiting room in production"))
def strict_room(stage: Stage) -> None:
    stage.open("production")


@given(said("{who} is {state}"))
@given(said("{who}는 {state} 상태다"))
def brought(stage: Stage, who: str, state: str) -> None:
    stage.person(who).bring(state)


@given(said("{who} enters another waiting room too"))
@given(said("{who}는 다른 대기실에도 들어가 있다"))
def elsewhere(stage: Stage, who: str) -> None:
    visitor = stage.person(who)
    twin = Person(stage.open("trial"), stage.headers, visitor.user)
    twin.bring("READY")
    stage.people["another waiting room"] = twin


@when(said("{who} {verb}"))
@when(said("{who} {verb} again"))
@when(said("{who}가 {verb}"))
@when(said("{who}가 다시 {verb}"))
def does(stage: Stage, who: str, verb: str) -> None:
    stage.note([stage.person(who).ask(VERBS[verb])])


@when(said("{who} {verb} from {count} devices at once"))
@when(said("{who}가 기기 {count}대에서 동시에 {verb}"))
def does_at_once(stage: Stage, who: str, verb: str, count: str) -> None:
    visitor = stage.person(who)
    stage.note(at_once(int(count), lambda: visitor.ask(VERBS[verb])))


@when(said("{who} {verb} without {field}"))
@when(said("{who}가 {field} 없이 {verb}"))
def leaves_out(stage: Stage, who: str, verb: str, field: str) -> None:
    visitor, call = stage.person(who), VERBS[verb]
    fields, headers = visitor.fields(call), visitor.headers(call)
    # Whichever of the two it is, it was there.
    (fields if field in fields else headers).pop(field)
    stage.note([visitor.ask(call, fields, headers)])


@when(said("{who} {verb} with {field} = {value}"))
@when(said("{who}가 {field} = {value} 값으로 {verb}"))
def says(stage: Stage, who: str, verb: str, field: str, value: str) -> None:
    visitor, call = stage.person(who), VERBS[verb]
    fields, headers = visitor.fields(call), visitor.headers(call)
    if field in fields:
        fields[field] = json.loads(value)
    else:
        headers[field] = json.loads(value)
    stage.note([visitor.ask(call, fields, headers)])


@when(said("{who}가 {count}바이트 {field} 값으로 {verb}"))
def says_much(stage: Stage, who: str, verb: str, field: str, count: str) -> None:
    says(stage, who, verb, field, json.dumps("x" * int(count)))


@when(said("{who} {verb} with {owner}'s token"))
@when(said("{who}가 {owner}의 토큰으로 {verb}"))
def borrows(stage: Stage, who: str, verb: str, owner: str) -> None:
    shows(stage, who, VERBS[verb], stage.person(owner).token)


@when(said("{who} {verb} with the token of another waiting room"))
def strays(stage: Stage, who: str, verb: str) -> None:
    shows(stage, who, VERBS[verb], stage.person("another waiting room").token)


@when(said("{who} {verb} with a forged token"))
def forges(stage: Stage, who: str, verb: str) -> None:
    shows(stage, who, VERBS[verb], FORGED)


@when(said("{who} {verb} with the ticket"))
def keeps(stage: Stage, who: str, verb: str) -> None:
    shows(stage, who, VERBS[verb], stage.person(who).ticket)


@when(said("{who} {verb} with the cookie from the entrance"))
def browses(stage: Stage, who: str, verb: str) -> None:
    visitor = stage.person(who)
    headers = visitor.headers(VERBS[verb])
    del headers["X-Queue-Token"]
    stage.note([visitor.ask(VERBS[verb], headers=headers | {"Cookie": visitor.cookie})])


@when(said("{who} {verb} with the ticket of the stay before"))
def holds_on(stage: Stage, who: str, verb: str) -> None:
    shows(stage, who, VERBS[verb], stage.person(f"{who} before").ticket)


def shows(stage: Stage, who: str, call: str, token: str | None) -> None:
    """Let somebody make a call with a token, wherever the call carries it."""
    assert token is not None
    visitor = stage.person(who)
    fields, headers = visitor.fields(call), visitor.headers(call)
    if call == "validate":
        fields["token"] = token
    else:
        headers["X-Queue-Token"] = token
    stage.note([visitor.ask(call, fields, headers)])


@given(said("{who} has left and is READY again"))
def came_back(stage: Stage, who: str) -> None:
    visitor = stage.person(who)
    before = Person(visitor.hall, stage.headers, visitor.user)
    before.bring("READY")
    before.told("leave")
    stage.people[f"{who} before"] = before
    visitor.bring("READY")


@when(said("{who}'s time runs out"))
@when(said("{who}의 이용 시간이 끝난다"))
def runs_out(stage: Stage, who: str) -> None:
    stage.person(who).run_out()


@when(said("the operator opens the room"))
def opens(stage: Stage) -> None:
    stage.hall.room.change(mode="open")


@then(said("the answer is {status}"))
@then(said("{status} 응답을 받는다"))
def answered(stage: Stage, status: str) -> None:
    assert stage.answer.status_code == int(status), stage.answer.text
    data_of(stage.answer)


@then(said("the call is refused with {status} {code}"))
@then(said("{status} {code} 오류로 거절된다"))
def is_refused(stage: Stage, status: str, code: str) -> None:
    refused(stage.answer, int(status), code)


@then(said("the refusal names {field}"))
@then(said("오류는 {field} 항목을 가리킨다"))
def names(stage: Stage, field: str) -> None:
    assert field in stage.answer.json()["detail"]


@then(said('the message reads "{text}"'))
@then(said('오류 문구는 "{text}"다'))
def reads(stage: Stage, text: str) -> None:
    assert stage.answer.json()["message"] == text


@then(said("the answer says"))
@then(said("응답은 다음과 같다"))
def holds(stage: Stage, datatable: Sequence[Sequence[str]]) -> None:
    body = stage.answer.json()
    told = body[0] if isinstance(body, list) else body["data"]
    assert_says(told, datatable)


def assert_says(told: Any, table: Sequence[Sequence[str]]) -> None:  # noqa: ANN401 - JSON
    for field, expected in table:
        value = told[field]
        if expected in SOME:
            assert value
        elif expected in NONE:
            assert value is None
        else:
            shown = value if isinstance(value, str) else json.dumps(value)
            assert shown == expected, field


@then(said("{fields} are as before"))
@then(said("{fields} 값은 전과 같다"))
def unchanged(stage: Stage, fields: str) -> None:
    before, now = data_of(stage.answer_before), data_of(stage.answer)
    for field in fields.split(", "):
        assert now[field] == before[field], field


@then(said("{field} is {seconds} seconds after the call"))
@then(said("{field} 값은 호출하고 {seconds}초 뒤다"))
def ends(stage: Stage, field: str, seconds: str) -> None:
    (asked,) = stage.asked
    at_ms = instant_ms(data_of(asked.response)[field]) - int(seconds) * 1000
    # One clock, read to the millisecond by two.
    assert asked.before_ms - 1 <= at_ms <= asked.after_ms + 1


@then(said("{count} of the calls succeed, the others are refused with {status} {code}"))
@then(said("{count}건만 성공하고 나머지는 {status} {code} 오류로 거절된다"))
def some_succeed(stage: Stage, count: str, status: str, code: str) -> None:
    answers = [asked.response for asked in stage.asked]
    lost = [answer for answer in answers if answer.status_code >= 400]
    assert len(answers) - len(lost) == int(count)
    for answer in lost:
        refused(answer, int(status), code)


@then(said("모두 성공하고 {fields} 값이 서로 같다"))
def all_agree(stage: Stage, fields: str) -> None:
    told = [data_of(asked.response) for asked in stage.asked]
    for field in fields.split(", "):
        assert len({one[field] for one in told}) == 1, field


@then(said("{field} 값이 {value}인 응답은 {count}건뿐이다"))
def counted(stage: Stage, field: str, value: str, count: str) -> None:
    told = [data_of(asked.response)[field] for asked in stage.asked]
    assert told.count(json.loads(value)) == int(count)


@then(said("{who} is {state}"))
@then(said("{who}는 {state} 상태다"))
def stands(stage: Stage, who: str, state: str) -> None:
    assert stage.person(who).state() == state


@then(said("{who} becomes {state}"))
@then(said("{who}는 곧 {state} 상태가 된다"))
def becomes(stage: Stage, who: str, state: str) -> None:
    stage.person(who).becomes(state)


@then(said("{who}는 줄에서 {position}번째다"))
def is_at(stage: Stage, who: str, position: str) -> None:
    assert stage.person(who).told("status")["position"] == int(position)


@when(said("{who} opens a stream"))
def subscribes(stage: Stage, who: str) -> None:
    assert stage.subscribe(who).response.status_code == 200


@when(said("{who} opens streams until one is refused"))
def subscribes_on(stage: Stage, who: str) -> None:
    asked: list[Asked] = []

    def refuses() -> bool:
        asked.append(stage.subscribe(who))
        return asked[-1].response.status_code != 200

    until(refuses, SOON_S, "a stream is refused")
    stage.note(asked[:-1])
    stage.note(asked[-1:])


@then(said("{count} streams or more were opened before"))
def opened(stage: Stage, count: str) -> None:
    assert len(stage.asked_before) >= int(count)


@then(said("the answer has a {header} header"))
def has_header(stage: Stage, header: str) -> None:
    assert int(stage.answer.headers[header]) > 0


@then(said("{who} is told {event} with the {field} {value}"))
def is_told(stage: Stage, who: str, event: str, field: str, value: str) -> None:
    news = stage.news(who)
    assert (news.name, news.data[field]) == (event, value)


@then(said("{who}'s stream ends"))
def stream_ends(stage: Stage, who: str) -> None:
    assert stage.news(who) == Event("", {})
