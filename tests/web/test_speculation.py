"""What browsers ask for in advance takes no place and counts nowhere."""

import pytest

from tests.web.stack import Stack, refused, succeeded

FIELDS = [
    {"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"},
    {"X-Purpose": "preview"}, {"X-Moz": "prefetch"},
]  # fmt: skip


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;prerender"])
def test_nobody_enters_in_advance(trial: Stack, purpose: str) -> None:
    room = trial.room(mode="paused")
    refused(room.enter("early", **{"Sec-Purpose": purpose}), 409, "C005")
    refused(room.status("early"), 404, "Q001")
    assert succeeded(room.enter("visitor"), 201)["position"] == 1


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_the_page_without_scripts_is_not_rendered_in_advance(
    trial: Stack, fields: dict[str, str]
) -> None:
    room = trial.room(mode="paused")
    refused(trial.client.get(f"/rooms/{room.name}?plain", headers=fields), 409, "C005")
    # The page that is the same for everybody may be loaded.
    assert trial.client.get(f"/rooms/{room.name}", headers=fields).status_code == 200
