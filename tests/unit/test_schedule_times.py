"""Times of a schedule agree with one another."""

from datetime import UTC, datetime, timedelta

import pytest

from waitline.booking.catalogue_model import ScheduleSettings
from waitline.kernel.instants import Instant
from waitline.kernel.setting import SettingError

START = datetime(2030, 1, 1, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "name"),
    [
        pytest.param({"sales_end": 1}, "sales_end", id="end after start"),
        pytest.param({"opens_at": 0}, "opens_at", id="opens at the start"),
        pytest.param({"opens_at": -1, "sales_end": -2}, "opens_at", id="opens after the end"),
        pytest.param({"cancel_until": 1}, "cancel_until", id="cancel after start"),
    ],
)
def test_times_that_contradict_one_another(hours: dict[str, int], name: str) -> None:
    at = {key: Instant.of(START + timedelta(hours=each)) for key, each in hours.items()}
    with pytest.raises(SettingError) as error:
        ScheduleSettings(**at).check_start(START)  # type: ignore[arg-type]
    assert error.value.setting.name == name


def test_times_that_agree() -> None:
    ScheduleSettings(
        opens_at=Instant.of(START - timedelta(days=30)),
        sales_end=Instant.of(START),
        cancel_until=Instant.of(START),
    ).check_start(START)
