"""The content coding of a response (RFC 9110 §8.4): none, or gzip once, decoded within a limit.

A few kilobytes can decode to gigabytes, and several codings, one in another, to terabytes. HTTP libraries
decode all that arrived before a caller can count it; here the decoder stops at the limit.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

# zlib's number for the gzip format with its header and checksum (RFC 1952).
_GZIP: Final = 31


class TooLargeError(Exception):
    """The body has more bytes than the limit."""


class UnknownCodingError(Exception):
    """The body has a content coding other than one gzip."""


class DamagedError(Exception):
    """The gzip stream is malformed, incomplete, or followed by other bytes."""


def read_body(pieces: Iterable[bytes], coding: str | None, limit: int) -> bytes:
    """Return the decoded body, of at most `limit` bytes.

    pieces: the body as received. coding: the Content-Encoding header, None if there is none. Raises
    TooLargeError as soon as the limit is passed, UnknownCodingError and DamagedError. Holds no more than the
    limit and one piece in memory while it reads.
    """
    named = (coding or "identity").strip().lower()
    if named == "identity":
        return _read(pieces, limit)
    if named in ("gzip", "x-gzip"):
        return _inflate(pieces, limit)
    raise UnknownCodingError


def _read(pieces: Iterable[bytes], limit: int) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > limit:
            raise TooLargeError
    return bytes(body)


def _inflate(pieces: Iterable[bytes], limit: int) -> bytes:
    body, decoder, is_empty = bytearray(), zlib.decompressobj(_GZIP), True
    for piece in pieces:
        if not piece:
            continue
        is_empty = False
        if decoder.eof:
            raise DamagedError
        try:
            # One byte more than allowed shows that there are more; 0 would mean no bound.
            body += decoder.decompress(piece, limit + 1 - len(body))
        except zlib.error as error:
            raise DamagedError from error
        if len(body) > limit:
            raise TooLargeError
        if decoder.unused_data:
            raise DamagedError
    # A response without content may name a coding nevertheless.
    if not (decoder.eof or is_empty):
        raise DamagedError
    return bytes(body)
