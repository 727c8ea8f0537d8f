"""What production refuses to start with: each is one line on the terminal, and exit status 2.

Stores that may lose data are in tests/faults/test_fitness.py and test_bad_addresses.py, data of a
trial in tests/cli/test_mode.py.
"""

import pytest

from tests.command_line import Run
from waitline.settings import load

KEY = "K3jd83hD02hdfb38sdKJHs03"
ANYWHERE = "0.0.0.0"  # noqa: S104 - to listen on
OPERATOR_KEY = "WAITLINE_OPERATOR_KEY"
# Nothing can be kept in it, so a service that is not refused ends too, with another reason.
NO_FOLDER = "/proc/waitline"
STORE = ("--valkey-url", "redis://127.0.0.1:1")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({OPERATOR_KEY: "changeme-changeme"}, "is a placeholder", id="default"),
        pytest.param({OPERATOR_KEY: "s3cret"}, "at least 16 characters", id="short"),
        pytest.param({OPERATOR_KEY: "aaaaaaaaaaaaaaaaaaaa"}, "is a placeholder", id="weak"),
        pytest.param({"WAITLINE_HOST": ANYWHERE}, "without TLS on 0.0.0.0", id="no-tls"),
        pytest.param({"WAITLINE_HOST": "::"}, "WAITLINE_TRUSTED_PROXIES", id="no-tls-ipv6"),
        pytest.param({"WAITLINE_HOST": ANYWHERE}, "WAITLINE_PLAIN_HTTP=true", id="how-to-mean-it"),
    ],
)  # fmt: skip
def test_the_queue_service(
    run: Run, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    for name, value in {OPERATOR_KEY: KEY, "WAITLINE_SITE_KEY": KEY, **given}.items():
        monkeypatch.setenv(name, value)
    ended = run("queue", "--data-dir", NO_FOLDER, *STORE)
    assert ended.code == 2
    assert len(ended.lines) == 1
    assert said in ended.err
    assert KEY not in ended.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({}, "payments would be of play money: the sandbox", id="sandbox"),
        pytest.param(
            {"WAITLINE_PAYMENT_PROVIDER": "stripe",
             "WAITLINE_PAYMENT_KEY": "sk_test_51H8xYzAbCdEfGh"},
            "payments would be of play money: a test key", id="test-key",
        ),
        pytest.param({"WAITLINE_HOST": ANYWHERE}, "without TLS on 0.0.0.0", id="no-tls"),
    ],
)  # fmt: skip
def test_the_box_office(
    run: Run, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    settings = {
        "WAITLINE_OPERATOR_KEY": KEY,
        "WAITLINE_DATABASE_URL": "postgresql://u@127.0.0.1:1/x",
        "WAITLINE_WEBHOOK_SECRET": KEY,
        "WAITLINE_PAYMENT_KEY": KEY,
        "WAITLINE_PAYMENT_URL": "http://127.0.0.1:1",
    }
    for name, value in {**settings, **given}.items():
        monkeypatch.setenv(name, value)
    ended = run("booking", "--data-dir", NO_FOLDER, *STORE)
    assert ended.code == 2
    assert said in ended.err


def test_waitline_up_in_production(run: Run) -> None:
    ended = run("up", "--mode", "production", "--host", ANYWHERE, "--data-dir", NO_FOLDER)
    assert ended.code == 2
    assert "without TLS on 0.0.0.0" in ended.err


@pytest.mark.parametrize(
    "given",
    [
        {"host": "127.0.0.1"},
        {"host": "::1"},
        {"host": "localhost"},
        {"host": ANYWHERE, "trusted_proxies": "10.0.0.0/8"},
        {"host": ANYWHERE, "plain_http": True},
        {"host": ANYWHERE, "mode": "trial"},
    ],
)
def test_what_is_fine(given: dict[str, object]) -> None:
    load(**{"mode": "production", **given}).require_https()
