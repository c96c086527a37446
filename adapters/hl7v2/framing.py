"""
MLLP frames: <VT> message <FS><CR>, without a socket.

The frames that come out do not depend on how the bytes were split on the way in: tests feed
each stream whole and byte by byte. FS ends a frame whatever follows it, so that a sender whose
CR arrives in another packet, or never, is answered at once. Line ends, spaces and zero bytes
between frames are passed over; anything else there is an error, because it may be a message.

Rules for editors: nothing in this file may know what a message says.

https://www.hl7.org/implement/standards/product_brief.cfm?product_id=55 (MLLP, Release 1)
"""

from __future__ import annotations

from typing import Final

START: Final = b"\x0b"
END: Final = b"\x1c"
CARRIAGE_RETURN: Final = b"\r"

BETWEEN_FRAMES: Final = b"\r\n \t\x00"


class FramingError(Exception):
    """The stream cannot be followed any further."""


class OversizedError(FramingError):
    """A message is longer than the limit; `head` is its beginning, enough to say so to its sender."""

    def __init__(self, head: bytes, message_bytes_max: int) -> None:
        super().__init__(f"A message has more than {message_bytes_max} bytes")
        self.head = head


HEAD_BYTES_MAX: Final = 4096


def frame(message: bytes) -> bytes:
    """The message as it goes on the wire."""
    return b"".join((START, message, END, CARRIAGE_RETURN))


class Deframer:
    """
    Finds the messages in a stream of bytes.

    Once `fault` is set nothing more comes out: what was complete before it was returned, what
    follows cannot be told from noise, and the connection has to be closed.
    """

    def __init__(self, message_bytes_max: int) -> None:
        self.fault: FramingError | None = None
        self._message_bytes_max = message_bytes_max
        self._buffer = bytearray()
        self._searched = 0
        self._inside = False

    @property
    def inside(self) -> bool:
        """A frame has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes; return the messages they complete, without empty ones."""
        self._buffer += data
        messages = []
        try:
            while self.fault is None and (message := self._next()) is not None:
                if message.strip(BETWEEN_FRAMES):
                    messages.append(message)
        except FramingError as fault:
            self.fault = fault
            self._buffer.clear()
        return messages

    def _next(self) -> bytes | None:
        if not self._inside and not self._enter():
            return None
        end = self._buffer.find(END, self._searched)
        length = len(self._buffer) if end < 0 else end
        # Beyond the limit a stray start does not count: which fault it is must not hang on packet sizes.
        if self._buffer.find(START, self._searched, min(length, self._message_bytes_max + 1)) >= 0:
            raise FramingError("A frame begins before the one before it has ended")
        if length > self._message_bytes_max:
            raise OversizedError(bytes(self._buffer[:HEAD_BYTES_MAX]), self._message_bytes_max)
        self._searched = length
        if end < 0:
            return None
        message = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._inside, self._searched = False, 0
        return message

    def _enter(self) -> bool:
        """Pass over what lies between frames, up to and with the start of the next."""
        start = self._buffer.find(START)
        between = self._buffer if start < 0 else self._buffer[:start]
        if between.strip(BETWEEN_FRAMES):
            raise FramingError("Bytes that belong to no frame")
        del self._buffer[: len(between) + (start >= 0)]
        self._inside, self._searched = start >= 0, 0
        return self._inside
