"""The box office's half of the steps."""

from concurrent.futures import ThreadPoolExecutor

from pytest_bdd import given, then, when

from tests.journey.stage import HOLD_S, Asked, Stage, data_of
from tests.journey.wordings import VERBS, said
from tests.until import until
from tests.web.stack import SOON_S, refused

# What the sandbox declines.
DECLINED = "DECLINE"


@given(said("a concert with the seats {seats}"))
@given(said("{seats} 좌석을 파는 콘서트가 있다"))
def on_sale(stage: Stage, seats: str) -> None:
    stage.open("production").sell(seats.split(", "))


@given(said("a concert with the seats {seats}, for {count} visitor at a time"))
@given(said("{seats} 좌석을 팔고 한 번에 {count}명만 들여보내는 콘서트가 있다"))
def narrow(stage: Stage, seats: str, count: str) -> None:
    stage.open("production", activeMax=int(count)).sell(seats.split(", "))


@given(said("a concert with the seats {seats}, held unpaid for {seconds} second"))
@given(said("{seats} 좌석을 팔고 예약을 {seconds}초만 잡아 두는 콘서트가 있다"))
def held_briefly(stage: Stage, seats: str, seconds: str) -> None:
    assert float(seconds) == HOLD_S
    stage.open("trial").sell(seats.split(", "))


@given(said("{seats} 좌석을 파는 다른 콘서트도 있다"))
def another(stage: Stage, seats: str) -> None:
    stage.open("production").sell(seats.split(", "))


@given(said("{who} holds seat {seat}"))
@given(said("{who}는 {seat} 좌석을 예약해 두었다"))
def holds_seat(stage: Stage, who: str, seat: str) -> None:
    visitor = stage.person(who)
    if visitor.token is None:
        visitor.bring("READY")
    data_of(visitor.reserve(seat).response)


@given(said("{who} has paid for seat {seat}"))
@given(said("{who}는 {seat} 좌석을 예약하고 결제했다"))
def has_paid(stage: Stage, who: str, seat: str) -> None:
    holds_seat(stage, who, seat)
    stage.person(who).told("pay")


@given(said("{who} knows the number of {owner}'s {thing}"))
@given(said("{who}는 {owner}의 예약 번호를 안다"))
def knows(stage: Stage, who: str, owner: str, thing: str = "reservation") -> None:
    stage.person(who).known[thing] = stage.person(owner).known[thing]


@given(said("{who} has made up the number of a {thing}"))
@given(said("{who}는 예약 번호를 지어냈다"))
def makes_up(stage: Stage, who: str, thing: str = "reservation") -> None:
    stage.person(who).known[thing] = 2**62


@when(said("{who} reserves seat {seat}"))
@when(said("{who}가 {seat} 좌석을 예약한다"))
def reserves(stage: Stage, who: str, seat: str) -> None:
    stage.note([stage.person(who).reserve(seat)])


@when(said("{who}가 다른 콘서트의 좌석을 예약한다"))
def reserves_elsewhere(stage: Stage, who: str) -> None:
    visitor = stage.person(who)
    there = next(iter(stage.halls[1].seats.values()))
    stage.note([visitor.ask("reserve", visitor.fields("reserve") | {"seatId": there})])


@when(said("{one}과 {other}가 동시에 {seat} 좌석을 예약한다"))
def race(stage: Stage, one: str, other: str, seat: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(stage.person(who).reserve, seat) for who in (one, other)]
        stage.note([call.result() for call in calls])


@when(said("{who} pays by a card that is declined"))
@when(said("{who}가 거절되는 카드로 결제한다"))
def is_declined(stage: Stage, who: str) -> None:
    visitor = stage.person(who)
    stage.note([visitor.ask("pay", visitor.fields("pay") | {"paymentMethod": DECLINED})])


@when(said("{who} pays under the key {key}"))
def pays_once(stage: Stage, who: str, key: str) -> None:
    visitor = stage.person(who)
    keyed = visitor.headers("pay") | {"Idempotency-Key": key}
    stage.note([visitor.ask("pay", headers=keyed)])


@when(said("{who} pays the amount {amount} under the key {key}"))
def pays_otherwise(stage: Stage, who: str, amount: str, key: str) -> None:
    visitor = stage.person(who)
    keyed = visitor.headers("pay") | {"Idempotency-Key": key}
    fields = visitor.fields("pay") | {"amount": int(amount)}
    stage.note([visitor.ask("pay", fields, keyed)])


@when(said("예매 서비스에 {method} {path} 요청을 보낸다"))
def sends(stage: Stage, method: str, path: str) -> None:
    client = stage.hall.office.client
    stage.note([Asked(client.request(method, path), 0, 0)])


@when(said("{who} {verb} with what was learned before"))
def knows_already(stage: Stage, who: str, verb: str) -> None:
    visitor = stage.person(who)
    seen = {"If-None-Match": stage.answer.headers["etag"]}
    stage.note([visitor.ask(VERBS[verb], headers=visitor.headers(VERBS[verb]) | seen)])


@then(said("{count} seats are listed"))
def listed(stage: Stage, count: str) -> None:
    assert len(data_of(stage.answer)) == int(count)


@then(said("{who} is offered the seats {seats}"))
@then(said("{who}에게 {seats} 좌석이 보인다"))
def offered(stage: Stage, who: str, seats: str) -> None:
    visitor, expected = stage.person(who), seats.split(", ")

    def shown() -> bool:
        return [one["seatNumber"] for one in visitor.told("seats")] == expected

    until(shown, SOON_S, f"{who} is offered {seats}")


@then(said("{who} is offered no seats"))
def sold_out(stage: Stage, who: str) -> None:
    visitor = stage.person(who)
    until(lambda: visitor.told("seats") == [], SOON_S, f"{who} is offered nothing")


@then(said("{who} sees that seat {seat} is {state}"))
@then(said("{who}에게 {seat} 좌석은 {state}로 보인다"))
def sees(stage: Stage, who: str, seat: str, state: str) -> None:
    visitor = stage.person(who)
    until(lambda: visitor.seat_state(seat) == state, SOON_S, f"{seat} is {state}")


@then(said("{owner}'s reservation is {state}"))
@then(said("{owner}의 예약은 {state} 상태다"))
def reservation_is(stage: Stage, owner: str, state: str) -> None:
    assert stage.person(owner).told("reservation")["status"] == state


@then(said("{owner}'s reservation becomes {state}"))
@then(said("{owner}의 예약은 곧 {state} 상태가 된다"))
def reservation_becomes(stage: Stage, owner: str, state: str) -> None:
    visitor = stage.person(owner)
    until(
        lambda: bool(visitor.told("reservation")["status"] == state),
        SOON_S,
        f"the reservation of {owner} becomes {state}",
    )


@then(said("{who} soon holds seat {seat}"))
@then(said("{who}는 곧 {seat} 좌석을 예약할 수 있다"))
def soon_holds(stage: Stage, who: str, seat: str) -> None:
    visitor = stage.person(who)
    visitor.bring("READY")

    def free() -> bool:
        response = visitor.reserve(seat).response
        if response.status_code == 409:
            refused(response, 409, "B003")
        else:
            data_of(response)
        return response.status_code == 201

    until(free, SOON_S, f"{seat} is on sale again")


@then(said("{owner}의 결제는 곧 {state} 상태가 된다"))
def payment_becomes(stage: Stage, owner: str, state: str) -> None:
    visitor = stage.person(owner)
    until(
        lambda: bool(visitor.told("payment")["status"] == state),
        SOON_S,
        f"the payment of {owner} becomes {state}",
    )


@then(said("{count} of the calls succeeds, the others are refused because of it"))
def one_wins(stage: Stage, count: str) -> None:
    answers = [asked.response for asked in stage.asked]
    won = [answer for answer in answers if answer.status_code == 201]
    assert len(won) == int(count)
    for answer in answers:
        if answer not in won:
            # While the first is in progress, or when it has paid.
            refused(answer, 409, "P004" if answer.json()["code"] == "P004" else "C005")


@then(said("the whole answer is as before"))
def same_answer(stage: Stage) -> None:
    assert data_of(stage.answer_before) == data_of(stage.answer)
