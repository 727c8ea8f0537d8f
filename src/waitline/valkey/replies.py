"""Error replies of Valkey or Redis: our bug or the server's state, and whether to reconnect.

An error that is not about our command says something about the server, a proxy in front of it, or
our access to it: `Unavailable`, whatever its wording, since managed services have wordings of their
own. So the table lists only errors that a correct command never gets.
"""

from types import MappingProxyType
from typing import Final, NamedTuple


class Judgement(NamedTuple):
    """What an error reply means.

    Attributes:
        ours: Whether it is about our command: a bug here, or damaged data. Everything else is
            `Unavailable`, unless the caller expects it.
        reconnect: Whether the connection can no longer be used; a new one, for which the name is
            resolved again, may work.
    """

    ours: bool
    reconnect: bool


_OURS: Final = Judgement(ours=True, reconnect=False)
_THEIRS: Final = Judgement(ours=False, reconnect=False)
_MOVED_ON: Final = Judgement(ours=False, reconnect=True)

CODES: Final = MappingProxyType(
    {
        # About the command.
        "WRONGTYPE": _OURS,
        # Expected by callers that can handle it.
        "NOSCRIPT": _THEIRS,
        "NOGROUP": _THEIRS,
        "BUSYGROUP": _THEIRS,
        "UNBLOCKED": _THEIRS,
        # The server cannot serve this now; another connection would not help.
        "OOM": _THEIRS,
        "BUSY": _THEIRS,
        "MISCONF": _THEIRS,
        "TRYAGAIN": _THEIRS,
        "CLUSTERDOWN": _THEIRS,
        "CROSSSLOT": _THEIRS,
        "EXECABORT": _THEIRS,
        "NOPERM": _THEIRS,
        "NOPROTO": _THEIRS,
        # The server is not the primary, or our authentication is no longer valid.
        "READONLY": _MOVED_ON,
        "LOADING": _MOVED_ON,
        "MASTERDOWN": _MOVED_ON,
        "NOREPLICAS": _MOVED_ON,
        "MOVED": _MOVED_ON,
        "ASK": _MOVED_ON,
        "REDIRECT": _MOVED_ON,
        "NOAUTH": _MOVED_ON,
        "WRONGPASS": _MOVED_ON,
        "DENIED": _MOVED_ON,
    }
)
"""Verdicts by error code. Source: `valkey/src/*.c` and `redis/src/*.c`, the replies that begin with
a code of capitals. A code that is not listed is `Unavailable`."""

ELSEWHERE: Final = frozenset(("MOVED", "ASK"))
"""Codes with which a node of a cluster names the node that holds a key."""

OF_NODES: Final = ELSEWHERE | {"READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS"}
"""Codes after which a new connection to the same node of a cluster would not help."""

OF_A_CLUSTER: Final = (
    "the store is a node of a cluster: write its address as redis+cluster://host:port"
)
"""What to do when a server that was given as the only one names another node."""

_OUR_TEXTS: Final = (
    "wrong number of arguments",
    "wrong number of args",
    "syntax error",
    "value is not",
    "is not an integer",
    "not a valid float",
    "not a float",
    "number of keys",
    "min or max",
    "invalid stream id",
    "specified in xadd",
    "no such key",
    "requires the key to exist",
    "can not be nested",
    "without multi",
    "index out of range",
    "would overflow",
    "error compiling script",
    "error running script",
    "@user_script",
    "user_script:",
)
"""Parts of `ERR` replies that are about the command, in lower case."""

_MISSING_TEXTS: Final = ("unknown command", "unknown redis command", "unknown subcommand")
"""Parts of `ERR` replies of a server that lacks a command or forbids it: an older version, or a
managed service. The commands are right, since the tests run them on every supported server."""

_RECONNECT_TEXTS: Final = (
    "max number of clients",
    "max client connections",
    "protocol error",
    "server closed the connection",
    "connection closed",
)
"""Parts of `ERR` replies after which the server closes the connection, in lower case."""

FAILED_OVER: Final = "instance state changed"
"""Part of the reply that a blocked call gets when its server becomes a replica."""


def judge(text: str) -> Judgement:
    """Return what an error reply means."""
    code, _, rest = text.partition(" ")
    if code == "UNBLOCKED" and FAILED_OVER in rest:
        return _MOVED_ON
    if code != "ERR":
        return CODES.get(code, _THEIRS)
    rest = rest.lower()
    if any(part in rest for part in _MISSING_TEXTS):
        return _THEIRS
    if any(part in rest for part in _OUR_TEXTS):
        return _OURS
    return _MOVED_ON if any(part in rest for part in _RECONNECT_TEXTS) else _THEIRS


class CommandError(Exception):
    """The server refused a command: a bug here, or the server cannot serve it now.

    Attributes:
        code: The error code; the first word of the reply.
        verdict: What it means.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]
        self.verdict = judge(text)

    @property
    def elsewhere(self) -> bool:
        """Whether a node of a cluster says that another one holds the key."""
        return self.code in ELSEWHERE
