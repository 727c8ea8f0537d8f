"""Configuration of an installation: the only package that reads environment variables.

Every service setting is a field of `Settings` and an environment variable `WAITLINE_…`; a command
line option overrides it. `waitline settings` prints each value, its meaning and its origin.

model.py        the settings: type, range, default, meaning
environment.py  environment variables, and how the settings are loaded from them
data_folder.py  metrics folders and operator key in the data folder
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
