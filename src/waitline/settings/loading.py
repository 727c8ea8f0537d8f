"""Load the settings from options, environment variables and files; report all errors at once."""

import os
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import structlog
from pydantic import SecretStr, ValidationError

from waitline.kernel.addresses import address_fault, text_fault
from waitline.kernel.errors import Misconfigured
from waitline.kernel.setting import SettingError
from waitline.settings.checks import (
    certificate_addresses_fault,
    listener_fault,
    networks_fault,
    origins_fault,
    root_path_fault,
    secret_fault,
)
from waitline.settings.data_folder import read_secret
from waitline.settings.environment import SECRET_FILES, VARIABLES, option
from waitline.settings.injected import injected
from waitline.settings.installation import PREFIX
from waitline.settings.model import Settings
from waitline.valkey import address

_HTTP = partial(address_fault, schemes=("http", "https"))
_CHECKS: Mapping[str, Callable[[str], str | None]] = {
    "operator_key": secret_fault,
    "site_key": secret_fault,
    "payment_key": secret_fault,
    "webhook_secret": secret_fault,
    "valkey_url": address.fault,
    "database_url": partial(
        address_fault,
        schemes=("postgresql", "postgres"),
        hostless=("postgresql", "postgres"),
    ),
    "payment_url": _HTTP,
    "queue_url": _HTTP,
    "traces_url": _HTTP,
    "queue_public_url": _HTTP,
    "host": listener_fault,
    "allowed_origins": origins_fault,
    "trusted_proxies": networks_fault,
    "certificate_addresses": certificate_addresses_fault,
    "queue_root_path": root_path_fault,
    "booking_root_path": root_path_fault,
    "instance": text_fault,
    "data_dir": text_fault,
}
"""Checks beyond pydantic's, by setting."""

log = structlog.get_logger()
_ignored: set[str] = set()


def load(**chosen: object) -> Settings:
    """Load the settings from the environment; options of the command line override it.

    Variables that Kubernetes or Docker injected are removed from this process's environment.

    Args:
        chosen: Values of options by setting name; `None` for options that were not given.

    Raises:
        Misconfigured: Values are not allowed, or variables not known: one line for each, which
            names the option, the variable or the file that the value came from.
    """
    _drop_injected()
    given = {name: value for name, value in chosen.items() if value is not None}
    origin = {name: option(name) for name in given}
    faults = list(_unknown())
    for variable, replaced in SECRET_FILES.items():
        name = replaced.removeprefix(PREFIX).lower()
        if variable not in os.environ or name in given:
            continue
        origin[name] = variable
        try:
            given[name] = _from_file(variable, replaced)
        except Misconfigured as error:
            faults.append(str(error))
    faults += _text_faults(given, origin)
    settings = None
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # pydantic checks
    except ValidationError as error:
        faults += _complaints(error, origin)
    if faults or settings is None:
        raise Misconfigured("\n".join(dict.fromkeys(faults)))
    return settings


def log_ignored_variables() -> None:
    """Log, once, which variables of Kubernetes or Docker were ignored."""
    if _ignored:
        log.info("variables_ignored", variables=sorted(_ignored))
        _ignored.clear()


def require_all(*checks: Callable[[], object]) -> None:
    """Run checks, and report all failures at once.

    Raises:
        Misconfigured: One or more of them did; the message has a line for each fault.
    """
    faults = []
    for check in checks:
        try:
            check()
        except Misconfigured as error:
            faults.append(str(error))
    if faults:
        # Checks may fail for the same reason: two keys are in one folder.
        raise Misconfigured("\n".join(dict.fromkeys(faults)))


def _drop_injected() -> None:
    for name, value in list(os.environ.items()):
        if name.startswith(PREFIX) and injected(name, value):
            del os.environ[name]
            _ignored.add(name)


def _unknown() -> Iterator[str]:
    known = (*VARIABLES, *SECRET_FILES)
    for name in sorted(os.environ):
        if not name.upper().startswith(PREFIX) or name in known or "_TEST_" in name:
            continue
        if name.startswith(PREFIX):
            near = get_close_matches(name, known, 1, 0.8)
            hint = f"; did you mean {near[0]}?" if near else "; `waitline settings` lists them"
            yield f"{name} is not a setting{hint}"
        elif name.upper() in known:
            yield f"{name} must be written {name.upper()}"


def _from_file(variable: str, replaced: str) -> str:
    if replaced in os.environ:
        raise Misconfigured(f"{variable}: {replaced} is set too; remove one of the two")
    try:
        return read_secret(Path(os.environ[variable]))
    except Misconfigured as error:
        raise Misconfigured(f"{variable}: {error}") from None


def _text_faults(given: Mapping[str, object], origin: Mapping[str, str]) -> Iterator[str]:
    for name, check in _CHECKS.items():
        value = given.get(name, os.environ.get(f"{PREFIX}{name.upper()}"))
        if value is None:
            continue
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        fault = check(text)
        if fault is not None:
            yield f"{_called(name, origin)}: {fault}"


def _complaints(error: ValidationError, origin: Mapping[str, str]) -> Iterator[str]:
    """Return a line for each error, without the value, which may be a secret."""
    for one in error.errors(include_url=False, include_input=False):
        name, *inner = (str(part) for part in one["loc"])
        invalid = one.get("ctx", {}).get("error")
        if isinstance(invalid, SettingError):
            yield f"{_called(f'{name}_{invalid.setting.name}', origin)}: {invalid.reason}"
            continue
        if name == "room":
            name = "_".join((name, *inner))
        yield f"{_called(name, origin)}: {one['msg']}"


def _called(name: str, origin: Mapping[str, str]) -> str:
    """Return the option, variable or file through which the operator gave a setting."""
    return origin.get(name, f"{PREFIX}{name.upper()}")
