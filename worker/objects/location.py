"""Parse URLs and paths of objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from worker.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Location:
    """A place in an object store: `key` is a prefix, or the key of one object."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.bucket else f"file:///{self.key}"

    def join(self, *parts: str) -> str:
        """Make the key of an object below this place."""
        return "/".join(part for part in (self.key, *parts) if part)


def locate(text: str) -> Location:
    """Parse a URL, or a path of this machine.

    Raises:
        ConfigError: Another scheme, an S3 URL without bucket, or not a path.
    """
    scheme = text.split("://", 1)[0] if "://" in text else ""
    if scheme == "s3":
        bucket, _, key = text.removeprefix("s3://").partition("/")
        if not bucket:
            raise ConfigError(url=text, expected="s3://bucket/prefix", actual="no bucket")
        return Location(bucket=bucket, key=key.rstrip("/"))
    if scheme == "file":
        path = text.removeprefix("file://")
        if not path.startswith("/"):
            raise ConfigError(url=text, expected="file:///absolute/path")
        return Location(bucket="", key=_absolute(path))
    if scheme:
        raise ConfigError(url=text, expected="s3://, file:// or a path", actual=f"{scheme}://")
    return Location(bucket="", key=_absolute(text))


def _absolute(path: str) -> str:
    try:
        absolute = Path(path).expanduser().absolute()
        # Not `resolve` always: a link keeps its own name, and so its identity as a source object.
        # Yet `a/../b` is `b`: one file must not be two source objects.
        return str(absolute.resolve() if ".." in absolute.parts else absolute).lstrip("/")
    except (OSError, ValueError, RuntimeError) as error:
        # An unknown user, a loop of links, a name that is too long or contains NUL.
        raise ConfigError(f"not a path of this machine: {error}", url=path) from error
