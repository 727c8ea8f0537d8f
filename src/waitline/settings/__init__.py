"""Configuration of an installation: the only package that reads environment variables.

Every service setting is a field of `Settings` and an environment variable `WAITLINE_…`; a command
line option overrides it. `waitline settings` prints each value, its meaning and its origin.

model.py        all settings: type, range, default, meaning; those of the two services
installation.py settings of the whole installation: mode, data, stores, addresses
edge.py         settings of the edge: origins, proxies, limits of connections
payments.py     settings of payments
checks.py       validation of secrets, addresses and hosts
injected.py     variables that Kubernetes and Docker put into the environment
environment.py  environment variables: their list, and the environment of child processes
loading.py      loading of the settings, with all errors reported at once
data_folder.py  the data folder, and the keys of operators and of sites in it
"""

from waitline.settings.data_folder import operator_key, prepare_data_folder, site_key
from waitline.settings.environment import (
    FILE_SUFFIX,
    VARIABLES,
    Variable,
    environment,
    export,
    in_environment,
    inherited,
    option,
    room_variable,
)
from waitline.settings.installation import PREFIX, ServeMode
from waitline.settings.loading import load, log_ignored_variables, require_all
from waitline.settings.model import Settings

__all__ = [
    "FILE_SUFFIX",
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
    "log_ignored_variables",
    "operator_key",
    "option",
    "prepare_data_folder",
    "require_all",
    "room_variable",
    "site_key",
]
