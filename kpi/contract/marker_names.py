"""Names of files and folders that hold no data, as regular expressions that every engine reads."""

from __future__ import annotations

MARKER_NAMES = (
    r"\..*",  # hidden; a copy in progress of rsync; ._x of macOS
    r"_SUCCESS|_FAILURE|_(started|committed)_[0-9]+",  # Spark, Databricks
    r"_temporary|_metadata|_common_metadata|_spark_metadata|_delta_log",
    r".*_\$folder\$",  # Hadoop on S3
    r"~\$.*",  # Office
    r"Thumbs\.db|desktop\.ini|__MACOSX|lost\+found",
    r".*\.(part|partial|filepart|crdownload|download|tmp|temp)",  # copies in progress
    r".*~|#.*#|.*\.(bak|orig|old|swp)",  # backups of editors
    r".*\.(md5|sha1|sha256|sha512|crc|crc32|sfv|asc|sig)",  # checksums and signatures
    r"(md5|sha1|sha256|sha512)sums?(\.txt)?|checksums?(\.txt)?",
    r"manifest\.(json|txt|xml)|readme(\.txt|\.md)?",
)
"""Names that are passed over, in folders and on S3 (docs/commands.md); case does not matter.

Python compares a segment of a path with them, JSONata a whole key: they use only what both read.
"""
