"""Exception hierarchy; `services/problems.py` maps each to an HTTP answer.

* WaitlineError
  + Refused        the rules say no; the caller can act on it      4xx, never alarms
  + Unavailable    no answer in time, the outcome is unknown       503 + Retry-After
    - Contended    rows stayed locked, nothing was changed         retried, then as Unavailable
  + Misconfigured  a file, key or setting is wrong; the operator can act  exit status 2
  + NeedsOperator  both: a store refuses us; a service waits for the remedy, a command ends

Any other exception is a bug: 500, and it alarms.
"""


class WaitlineError(Exception):
    """Base of every error this package raises on purpose."""


class Refused(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The rules say no. Subclasses are defined beside their rule and carry fields, not prose."""


class Unavailable(WaitlineError):  # noqa: N818
    """A store or provider did not answer in time; nothing is known about the outcome."""


class Contended(Unavailable):
    """Another transaction has locked what the call would change; nothing was changed."""


class Misconfigured(WaitlineError):  # noqa: N818
    """A file, key, address or setting is wrong; the message says so to the operator, in a line."""


class NeedsOperator(Unavailable, Misconfigured):
    """A store refuses us for a reason that its operator can remedy, perhaps while we run.

    A service answers 503 and tries again; a command ends like with a wrong setting. The message is
    one line with the remedy.
    """
