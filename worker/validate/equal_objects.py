"""Find an earlier upload of an S3 object that has the same bytes, without reading them.

S3 keeps a SHA-256 of an object where it was uploaded with one, and an etag that is an MD5 of the
bytes where no key of KMS or of a customer encrypts them. Where neither shows that two uploads of a
name are equal, the later one is read and hashed, as any other.
"""

from __future__ import annotations

import base64

from worker.objects import ObjectInfo
from worker.objects.source import Source
from worker.objects.source import identify as make_id
from worker.state import Entry, Sighting
from worker.state.entry import CONTENT_PART_BYTES
from worker.validate.context import ValidationContext
from worker.validate.file_versions import entry_of_equal, name_id


async def find_equal_object(source: Source, context: ValidationContext) -> Entry | None:
    """Find an accepted upload of the same name and bytes.

    Returns:
        An entry for the source that has the rows of the earlier one, and is to be committed; None
        where the source has to be read.

    Raises:
        StoreError: The ledger fails.
    """
    info = source.info
    if info.stamp is not None or not (info.sha256 or info.etag):
        return None
    sighting = (await context.ledger.sightings([name_id(info)])).get(name_id(info))
    if sighting is None:
        return None
    earlier = await context.find(make_id(info.bucket, info.key, sighting.version))
    if (
        earlier is None
        or not (earlier.verdict == "accepted" and context.is_final(earlier))
        or earlier.content_id is None
        or earlier.size_bytes != info.size_bytes
        # By a contract of language 2, the same name and bytes feed the same datasets.
        or (context.contract.shop is None and earlier.dataset != source.dataset)
    ):
        return None
    if content_of_checksum(info) != earlier.content_id and info.etag != sighting.stamp:
        return None
    return entry_of_equal(earlier, source, context)


async def record_object(source: Source, entry: Entry, context: ValidationContext) -> None:
    """Record the last upload of a name, for `find_equal_object`.

    Raises:
        StoreError: The ledger fails.
    """
    info = source.info
    if info.stamp is not None or entry.verdict == "refused" or entry.content_id is None:
        return
    if info.sha256 or info.etag:
        seen = Sighting(version=info.version, sha256=entry.content_id, stamp=info.etag or "-")
        await context.ledger.record_sighting(name_id(info), seen)


def content_of_checksum(info: ObjectInfo) -> str | None:
    """Convert the SHA-256 that S3 keeps to `Entry.content`; None where it cannot be compared.

    A composite checksum is of the parts of the upload. It can only be equal to ours where these had
    the same length.
    """
    digest, _, parts = info.sha256.partition("-")
    try:
        text = base64.b64decode(digest, validate=True).hex()
    except ValueError:
        return None
    if bool(parts) != (info.size_bytes > CONTENT_PART_BYTES) or not text:
        return None
    return f"{text}-{parts}" if parts else text
