"""What an installation can choose: the only reader of the environment.

Every service setting is a field of `Settings` and an environment variable `WAITLINE_…`; an option
of a command overrides it. `waitline settings` prints each value, its meaning and its origin.

model.py        the settings: type, range, default, meaning
environment.py  environment variables, and the settings made of them
data_folder.py  metrics of the running processes, the operator key
"""

from waitline.settings.data_folder import operator_key, share_metrics
from waitline.settings.environment import (
    VARIABLES,
    Variable,
    environment,
    export,
    in_environment,
    inherited,
    load,
    option,
    room_variable,
)
from waitline.settings.model import PREFIX, ServeMode, Settings

__all__ = [
    "PREFIX",
    "VARIABLES",
    "ServeMode",
    "Settings",
    "Variable",
    "environment",
    "export",
    "in_environment",
    "inherited",
    "load",
    "operator_key",
    "option",
    "room_variable",
    "share_metrics",
]
