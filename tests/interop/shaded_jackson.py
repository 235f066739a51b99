"""Move Jackson into the package in which Iceberg's library for Spark looks for it.

The package of that library comes without Jackson, which its classes know by another name: as the
build of Iceberg renames it. Spark has the classes. Their names are constants of the class files.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

FOUND, WANTED = b"com/fasterxml/jackson", b"org/apache/iceberg/shaded/com/fasterxml/jackson"

JARS = ("jackson-annotations", "jackson-core", "jackson-databind")

CONSTANT_BYTES = {
    3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4,
    19: 2, 20: 2,
}  # fmt: skip
"""Tag of a constant -> its bytes, of all but texts (JVM specification, 4.4)."""

TEXT, WIDE = 1, (5, 6)
"""Tag of texts, and those of constants that take two numbers."""


def renamed(data: bytes) -> bytes:
    """Rename the package in the constants of a class file."""
    (count,) = struct.unpack_from(">H", data, 8)
    parts, at, number = [data[:10]], 10, 1
    while number < count:
        tag = data[at]
        if tag == TEXT:
            (length,) = struct.unpack_from(">H", data, at + 1)
            text = data[at + 3 : at + 3 + length]
            for slash in (b"/", b"."):
                text = text.replace(FOUND.replace(b"/", slash), WANTED.replace(b"/", slash))
            parts.append(bytes([tag]) + struct.pack(">H", len(text)) + text)
            at += 3 + length
        else:
            size = 1 + CONSTANT_BYTES[tag]
            parts.append(data[at : at + size])
            at += size
        number += 2 if tag in WIDE else 1
    return b"".join([*parts, data[at:]])


def write_jar(folder: Path, path: Path) -> None:
    """Write a jar of the renamed classes.

    Args:
        folder: Jars of Spark.
        path: The jar.
    """
    prefix = FOUND.decode()
    with zipfile.ZipFile(path, "w") as target:
        for name in JARS:
            (jar,) = folder.glob(f"{name}-[0-9]*.jar")
            with zipfile.ZipFile(jar) as source:
                for one in source.namelist():
                    if one.startswith(prefix) and one.endswith(".class"):
                        target.writestr(
                            one.replace(prefix, WANTED.decode(), 1), renamed(source.read(one))
                        )
