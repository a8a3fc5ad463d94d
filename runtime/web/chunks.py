"""A strict reader of chunked bodies (RFC 9112 §7.1)."""

from __future__ import annotations

import re
import time
from typing import Any, Final

_LONGEST_LINE: Final = 8192
_LARGEST_TRAILERS: Final = 64 * 1024
# Bytes of chunk lines, and for each chunk as many as reading it costs: at most 16,384 chunks.
_LARGEST_OVERHEAD: Final = 1024 * 1024
_CHUNK_COST: Final = 64
_CHUNKS_PER_TURN: Final = 64
# Sixteen digits can overflow a 64-bit integer; all parsers agree on fifteen. Extensions are ignored (§7.1.1).
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")


class BadChunk(ValueError):
    """The body violates the chunked framing. The connection must be closed: the next request is unknown."""


class Chunks:
    """A chunked body. ended: the last chunk was read.

    file: the connection, buffered (it has `peek`), positioned after the head.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = 0  # unread bytes of the current chunk
        self.ended = False
        self._overhead = 0
        self._count = 0  # chunks since other greenlets ran

    def read(self, size: int) -> bytes:
        """Read 1 to `size` bytes; return none when the body has ended. Raises BadChunk."""
        if self.ended:
            return b""
        if self._left == 0:
            whole = self._read_whole(size)
            if whole:
                return whole
            line = self._file.readline(_LONGEST_LINE)
            self._spend(len(line), 1)
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise BadChunk("a chunk's size is not a hexadecimal number on a line of its own")
            self._left = int(match[1], 16)
            if self._left == 0:
                self._skip_trailers()
                return b""
        piece: bytes = self._file.read(min(size, self._left))
        if not piece:
            raise BadChunk("the body ended inside a chunk")
        self._left -= len(piece)
        if self._left == 0 and self._file.read(2) != b"\r\n":
            raise BadChunk("a chunk is longer than its size says")
        return piece

    def _read_whole(self, size: int) -> bytes:
        """Read the chunks that have arrived whole, up to `size` bytes; return none if the first one has not.

        One by one, small chunks take nearly three times as long.
        """
        arrived = self._file.peek()
        pieces: list[bytes] = []
        received = end = 0
        while (match := _CHUNK_LINE.match(arrived, end)) is not None:
            start, length = match.end(), int(match[1], 16)
            received += length
            stop = start + length
            if length == 0 or received > size or arrived[stop : stop + 2] != b"\r\n":
                break
            pieces.append(arrived[start:stop])
            end = stop + 2
        body = b"".join(pieces)
        self._file.read(end)
        self._spend(end - len(body) - 2 * len(pieces), len(pieces))  # without the ends of chunks
        return body

    def _spend(self, size: int, chunks: int) -> None:
        """Count chunk lines against the limit; without one, a body of tiny chunks costs seconds of CPU."""
        self._overhead += size + chunks * _CHUNK_COST
        if self._overhead > _LARGEST_OVERHEAD:
            raise BadChunk("the body has too many chunks for its size")
        self._count += chunks
        if self._count >= _CHUNKS_PER_TURN:
            self._count = 0
            time.sleep(0)  # chunks that have arrived are read without waiting: let other requests run

    def _skip_trailers(self) -> None:
        size = 0
        while (line := self._file.readline(_LONGEST_LINE)) != b"\r\n":
            size += len(line)
            if size > _LARGEST_TRAILERS or _TRAILER_LINE.fullmatch(line) is None:
                raise BadChunk("the last chunk is not followed by valid trailers")
        self.ended = True
