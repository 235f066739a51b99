"""The form of manifests: a JSON object that names immutable objects, parsed and checked alike.

A kind of manifest says which objects it names and how its own members are parsed. A manifest of
another format is one that is not there; one that is damaged is told by its URL.
"""

from __future__ import annotations

import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import orjson

from worker.errors import DamagedObject


@dataclass(frozen=True, kw_only=True)
class StoredManifest(ABC):
    """Which objects there are, and what they hold.

    Attributes:
        KIND: Names the manifest in errors.
        FORMAT: Version of manifest and objects. Another one is a manifest that is not there.
        NAMES: Names that its objects may have.
        up_to: Ledger sequence up to which they hold what they are kept for; 0 for none.
        retired: Names of objects that the manifest before had and this one has not: a reader may
            still use them, the next manifest's writer deletes them.
    """

    KIND: ClassVar[str]
    FORMAT: ClassVar[int]
    NAMES: ClassVar[re.Pattern[str]]

    up_to: int = 0
    retired: tuple[str, ...] = ()

    @property
    @abstractmethod
    def names(self) -> Collection[str]:
        """Names of its objects."""

    def to_fields(self) -> dict[str, Any]:
        """Return the members of the JSON object, but for `format`."""
        return asdict(self)

    @classmethod
    def parse_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Return attributes by the members of the JSON object; each kind parses its own.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, zlib.error: They are damaged.
        """
        return fields

    def to_json(self) -> bytes:
        return orjson.dumps({"format": self.FORMAT, **self.to_fields()})

    @classmethod
    def from_json(cls, data: bytes, url: str) -> Self:
        """Parse the text of `to_json`; one of another format is empty.

        Raises:
            DamagedObject: It is damaged.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields.pop("format") != cls.FORMAT:
                return cls()
            found = cls(**cls.parse_fields(fields) | {"retired": tuple(fields["retired"])})
            if type(found.up_to) is not int:
                raise ValueError("`up_to` that is no sequence")
            if not all(cls.NAMES.fullmatch(name) for name in (*found.names, *found.retired)):
                raise ValueError("a name that is none of its objects'")
        except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
            raise DamagedObject(
                url=url, expected=f"a manifest of {cls.KIND}", actual=f"damaged bytes ({error})"
            ) from error
        return found
