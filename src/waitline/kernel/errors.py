"""The error tree; `services/problems.py` says what each becomes over HTTP.

* WaitlineError
  + Refused        the rules say no; the caller can act on it      4xx, never alarms
  + Unavailable    no answer in time, the outcome is unknown       503 + Retry-After
  + Misconfigured  the installation is wrong; one line says what to do    exit status 2

Anything else that escapes is a bug: 500, and it alarms.
"""


class WaitlineError(Exception):
    """Base of every error this package raises on purpose."""


class Refused(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """The rules say no. Subclasses live beside the rule and carry fields, not prose."""


class Unavailable(WaitlineError):  # noqa: N818
    """A store or provider did not answer in time; nothing is known about the outcome."""


class Misconfigured(WaitlineError):  # noqa: N818
    """A file, key, address or setting is wrong; the message is one line for the operator."""
