"""Signatures of the sandbox's messages."""

import pytest

from waitline.payment_providers.model import WebhookForged
from waitline.payment_providers.sandbox import signatures

SECRET, BODY, NOW_S = "secret", b'{"a":1}', 1_800_000_000
GENUINE = signatures.sign(SECRET, BODY, NOW_S)
MAC = GENUINE.partition("v1=")[2]


@pytest.mark.parametrize("age_s", [0, 1, 299, 300, -300])
def test_what_was_signed_lately_is_genuine(age_s: int) -> None:
    signatures.verify(SECRET, signatures.sign(SECRET, BODY, NOW_S - age_s), BODY, NOW_S)


@pytest.mark.parametrize(
    ("header", "body", "reason"),
    [
        pytest.param(None, BODY, "signature", id="unsigned"),
        pytest.param("", BODY, "signature", id="empty"),
        pytest.param("v1=,t=", BODY, "signature", id="blank"),
        pytest.param(f"v1={MAC}", BODY, "signature", id="no time"),
        pytest.param(f"t={NOW_S},v1=ab", BODY, "signature", id="short"),
        pytest.param(f"t={NOW_S},v1=é", BODY, "signature", id="not ASCII"),
        pytest.param(f"t=\ud800,v1={MAC}", BODY, "signature", id="not a text"),
        pytest.param(f"t={NOW_S + 1},v1={MAC}", BODY, "signature", id="another time"),
        pytest.param(GENUINE, BODY + b" ", "signature", id="another body"),
        pytest.param(signatures.sign("other", BODY, NOW_S), BODY, "signature", id="another's"),
        pytest.param(signatures.sign(SECRET, BODY, NOW_S - 301), BODY, "age", id="old"),
        pytest.param(signatures.sign(SECRET, BODY, NOW_S + 301), BODY, "age", id="early"),
    ],
)
def test_everything_else_is_forged(header: str | None, body: bytes, reason: str) -> None:
    with pytest.raises(WebhookForged) as forged:
        signatures.verify(SECRET, header, body, NOW_S)
    assert forged.value.reason == reason
