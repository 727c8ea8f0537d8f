"""`waitline keys create`: the file of signing keys, once."""

import json
from pathlib import Path

from tests.command_line import Run


def test_it_makes_one_file_and_keeps_it(run: Run, tmp_path: Path) -> None:
    status, out, err = run("keys", "create", "--data-dir", tmp_path, "--json")
    assert status == 0
    file = tmp_path / "keys" / "keys.json"
    assert str(file) in err
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    (key,) = json.loads(out)
    assert key["use"] == "signs"
    assert run("keys", "create", "--data-dir", tmp_path, "--json")[1] == out
    assert file.read_bytes() == before
    secrets = json.loads(before)["keys"][0]
    assert secrets["ticket_secret"] not in out + err
