"""Which problem this checkout is about, by name. Standard library only: the Pulumi program asks as well."""

import tomllib
from pathlib import Path

from ml.errors import ConfigError

FIX = 'name the folder of your problem in pyproject.toml, for example: [tool.ml-pipeline] problem = "ml.flights"'


def configured(pyproject: Path) -> str:
    """The package that `[tool.ml-pipeline]` names.

    Raises:
        ConfigError: If the file or the entry is not there.
    """
    try:
        package = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["ml-pipeline"]["problem"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("ML-CONF-101", f"{pyproject}: no [tool.ml-pipeline] problem: {error}", FIX) from error
    return str(package)
