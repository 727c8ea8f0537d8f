"""The circuit breaker: when it lets a call through."""

from waitline.kernel.circuit_breaker import FAILURES_MAX, PAUSE_S, CircuitBreaker


def opened(now_s: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(failures_max=3, pause_s=1.0)
    for _ in range(3):
        assert breaker.allows(now_s)
        breaker.record_failure(now_s)
    assert breaker.open
    return breaker


def test_the_first_silences_stop_nobody() -> None:
    breaker = CircuitBreaker()
    for _ in range(FAILURES_MAX - 1):
        breaker.record_failure(0.0)
        assert breaker.allows(0.0)
    assert not breaker.open
    breaker.record_failure(0.0)
    assert breaker.open
    assert not breaker.allows(PAUSE_S * 0.99)


def test_an_answer_between_silences_begins_the_count_anew() -> None:
    breaker = CircuitBreaker(failures_max=2)
    for _ in range(10):
        breaker.record_failure(0.0)
        breaker.record_success()
    assert not breaker.open
    assert breaker.allows(0.0)


def test_one_asks_after_the_pause_and_the_others_do_not() -> None:
    breaker = opened(now_s=10.0)
    assert not breaker.allows(10.9)
    assert [breaker.allows(11.0), breaker.allows(11.0), breaker.allows(11.9)] == [
        True,
        False,
        False,
    ]


def test_an_attempt_that_is_answered_lets_everybody_ask() -> None:
    breaker = opened()
    assert breaker.allows(1.0)
    breaker.record_success()
    assert not breaker.open
    assert all(breaker.allows(1.0) for _ in range(10))


def test_an_attempt_that_is_not_answered_is_followed_by_another_pause() -> None:
    breaker = opened()
    assert breaker.allows(1.0)
    breaker.record_failure(1.3)
    assert not breaker.allows(2.2)
    assert breaker.allows(2.3)


def test_an_attempt_that_never_ends_is_followed_by_another() -> None:
    breaker = opened()
    assert breaker.allows(1.0)
    assert not breaker.allows(1.9)
    assert breaker.allows(2.0)


def test_after_an_answer_it_takes_as_many_silences_again() -> None:
    breaker = opened()
    breaker.record_success()
    breaker.record_failure(5.0)
    breaker.record_failure(5.0)
    assert not breaker.open
    breaker.record_failure(5.0)
    assert breaker.open
