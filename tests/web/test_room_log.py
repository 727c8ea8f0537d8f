"""The log of operators' changes of rooms: by HTTP and on the command line the same entries."""

import getpass
import json

from tests.web.stack import INSTANT, Stack, refused, succeeded, waitline


def test_who_changed_a_room_from_what_to_what(trial: Stack) -> None:
    room = trial.room(mode="paused", activeMax=7)
    where = ("--data-dir", trial.data_dir)
    path = f"/api/v1/rooms/{room.name}"
    calls = trial.client, trial.operator
    succeeded(calls[0].patch(path, json={"mode": "open", "activeMax": 7}, headers=calls[1]))
    done = waitline("rooms", "set", room.name, "--message", "곧 시작합니다", *where)
    assert done.returncode == 0, done.stderr
    assert waitline("rooms", "reset", room.name, "--yes", *where).returncode == 0
    succeeded(calls[0].delete(path, headers=calls[1]))

    answer = succeeded(calls[0].get(f"{path}/changes", headers=calls[1]))
    assert answer["room"] == room.name
    deleted, emptied, written, opened, created = answer["changes"]
    here, key = f"command line {getpass.getuser()}", created["who"]
    assert key.startswith("operator ")
    assert trial.operator["X-Operator-Key"] not in json.dumps(answer)
    assert [one["who"] for one in (opened, written, emptied, deleted)] == [key, here, here, key]
    assert opened == {
        "changeNo": 2,
        "at": opened["at"],
        "who": key,
        "what": "room changed",
        "before": {"mode": "paused"},
        "after": {"mode": "open"},
    }
    assert INSTANT.fullmatch(opened["at"])
    assert (written["before"], written["after"]) == ({"message": ""}, {"message": "곧 시작합니다"})
    assert (deleted["what"], deleted["before"]["activeMax"]) == ("room deleted", 7)

    # The command reads the same, also of a room that is deleted.
    rows = json.loads(waitline("rooms", "log", room.name, "--json", *where).stdout)
    assert [{**row, "at": ""} for row in rows] == [{**one, "at": ""} for one in answer["changes"]]
    shown = waitline("rooms", "log", room.name, "--last", "4", *where).stdout
    assert "mode: paused" in shown
    assert "room created" not in shown

    page = succeeded(calls[0].get(f"{path}/changes?limit=1&before=3", headers=calls[1]))
    assert page["changes"] == [opened]


def test_who_may_read_the_log(trial: Stack) -> None:
    room = trial.room()
    path = f"/api/v1/rooms/{room.name}/changes"
    refused(trial.client.get(path), 401, "C002")
    nowhere = "/api/v1/rooms/no-such-room/changes"
    refused(trial.client.get(nowhere, headers=trial.operator), 404, "C004")
    for wrong in ("limit=0", "limit=201", "before=0", "before=x"):
        refused(trial.client.get(f"{path}?{wrong}", headers=trial.operator), 400, "C001")
    done = waitline("rooms", "log", "no-such-room", "--data-dir", trial.data_dir)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "waitline rooms list" in done.stderr


def test_a_room_that_a_visitor_made_says_so(trial: Stack) -> None:
    room = trial.unused()
    room.arrive()
    path = f"/api/v1/rooms/{room.name}/changes"
    (created,) = succeeded(trial.client.get(path, headers=trial.operator))["changes"]
    assert (created["who"], created["what"]) == ("waitline", "room created")
