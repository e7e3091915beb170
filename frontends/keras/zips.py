"""Members of zip files that nobody vouches for."""

from __future__ import annotations

import zipfile

from convc.errors import ModelError

EXPANSION_LIMIT = 100
"""A zip member above `EXPANSION_FLOOR` may be at most this many times its stored size, as in Keras's own reader."""
EXPANSION_FLOOR = 1 << 20


def member(archive: zipfile.ZipFile, subject: str, name: str, limit: int | None) -> bytes:
    """A member's bytes, checked against their CRC; refused where the declared size is out of proportion."""
    info = archive.getinfo(name)
    most = max(EXPANSION_FLOOR, EXPANSION_LIMIT * info.compress_size)
    if info.file_size > (most if limit is None else min(most, limit)):
        raise ModelError(
            subject,
            f"{name} expands too far",
            expected=f"at most {most if limit is None else min(most, limit)} bytes",
            received=str(info.file_size),
        )
    return archive.read(info)
