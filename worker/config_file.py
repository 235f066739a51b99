"""`shopkpi.toml`: settings of a shop, found upwards from the working folder.

This module imports nothing at its start that every command does not need: most commands run where
there is no such file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.errors import ConfigError, InvalidSettings

NAME = "shopkpi.toml"

KEYS: Mapping[str, str] = {
    "input": "inputs",
    "workspace": "workspace",
    "state": "state",
    "shop": "shop",
    "tables": "kpis",
    "fail_on": "fail_on",
    "readers": "readers",
}
"""Key of the file -> parameter of the commands."""

MAX_CONFIG_BYTES = 2**16
"""Of the file; one with every key has 300 bytes."""

_LISTS = ("input", "tables", "fail_on")
_PATHS = ("input", "workspace")


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """A file that was found and is usable.

    Attributes:
        path: Where it is.
        parameters: Parameter of the commands -> value; paths are absolute.
    """

    path: Path
    parameters: Mapping[str, Any]


def find_config() -> ConfigFile | None:
    """Read the nearest `shopkpi.toml` of the working folder and those above; None without one.

    Raises:
        ConfigError: The file cannot be read, or is not usable.
    """
    try:
        folder = Path.cwd()
    except OSError:  # the working folder was deleted
        return None
    for place in (folder, *folder.parents):
        path = place / NAME
        if os.path.lexists(path):
            return _read(path)
    return None


def _read(path: Path) -> ConfigFile:
    import tomllib  # noqa: PLC0415  (only where there is a file)

    try:
        _check_owner(path)
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
        if len(data) > MAX_CONFIG_BYTES:
            raise ConfigError(url=path, expected=f"at most {MAX_CONFIG_BYTES} bytes")
        document = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", url=path) from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise ConfigError(f"not TOML: {error}", url=path) from error
    lines = data.decode("utf-8").splitlines()
    problems = [
        f"{path}:{_line_of(key, lines)}: {problem}"
        for key, value in document.items()
        if (problem := _problem(key, value))
    ]
    if problems:
        raise InvalidSettings(problems)
    parameters = {KEYS[key]: _parameter(key, value, path) for key, value in document.items()}
    return ConfigFile(path=path, parameters=parameters)


def _check_owner(path: Path) -> None:
    """Refuse a file that another user has put into a folder of everybody, such as /tmp."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ConfigError(url=path, expected="a file")
    is_ours = path.lstat().st_uid in (0, os.geteuid())
    if not is_ours and path.parent.stat().st_mode & stat.S_IWOTH:
        raise ConfigError(
            "it belongs to another user, in a folder that everybody may write to",
            url=path,
            hint="work in a folder of your own",
        )


def _line_of(key: str, lines: list[str]) -> int:
    """Return the number of the line that sets a key; 1 where it is written in another way."""
    for number, line in enumerate(lines, start=1):
        start = line.lstrip().lstrip("[").lstrip().strip("\"'")
        if start.startswith(key) and not (start[len(key) :][:1].isalnum()):
            return number
    return 1


def _problem(key: str, value: object) -> str:
    if key not in KEYS:
        return f"unknown key {key!r}; expected {', '.join(KEYS)}"
    is_text = isinstance(value, str) and value != ""
    if key not in _LISTS:
        return "" if is_text else f"{key}: expected a text"
    is_list = isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    return "" if is_text or is_list else f"{key}: expected a text or a list of texts"


def _parameter(key: str, value: Any, path: Path) -> Any:  # noqa: ANN401  (a value of TOML)
    """Convert a value to that of the parameter; a relative path is relative to the file."""
    texts = [value] if isinstance(value, str) else list(value)
    if key in _PATHS:
        texts = [text if "://" in text else str(path.parent / text) for text in texts]
    if key == "tables":
        return ",".join(texts)
    return texts if key in _LISTS else texts[0]
