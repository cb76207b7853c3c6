"""The common case of a WebSocket frame, at a glance: a whole message in one masked text frame. Pure.

Nearly all that chargers send is this. Autobahn's parser builds a frame, a mask and a validator's state for each frame,
which was a large part of the gateway's work. Whatever is not this case, or is faulty, is left to it.
Source: RFC 6455, section 5.2.
"""

from __future__ import annotations

_FIN_TEXT = 0x81
_MASKED = 0x80
_SHORTEST_16_BIT_LENGTH = 126
_UNMASKED = b"\0\0\0\0"


def whole_text(data: bytes, max_bytes: int) -> tuple[bytes, int] | None:
    """The text, unmasked, of the frame at the beginning of ``data``, and where the frame ends.

    None for any other frame than an uncompressed, masked text message of 1 to ``max_bytes`` bytes (0xffff at most) that
    is complete in ``data`` and valid UTF-8.
    """
    if len(data) < 7 or data[0] != _FIN_TEXT or data[1] <= _MASKED:
        return None
    length, begin = data[1] - _MASKED, 6
    if length == _SHORTEST_16_BIT_LENGTH:
        length, begin = data[2] << 8 | data[3], 8
        if length < _SHORTEST_16_BIT_LENGTH:
            return None
    elif length > _SHORTEST_16_BIT_LENGTH:
        return None
    end = begin + length
    if len(data) < end or length > max_bytes:
        return None
    mask, text = data[begin - 4 : begin], data[begin:end]
    if mask != _UNMASKED:
        key = int.from_bytes((mask * (length // 4 + 1))[:length])
        text = (int.from_bytes(text) ^ key).to_bytes(length)
    try:
        text.decode()
    except UnicodeDecodeError:
        return None
    return text, end


def text_frame(text: bytes) -> bytes | None:
    """An unmasked text frame; None for a text of more than 0xffff bytes."""
    length = len(text)
    if length < _SHORTEST_16_BIT_LENGTH:
        return bytes((_FIN_TEXT, length)) + text
    return bytes((_FIN_TEXT, 126, length >> 8, length & 0xFF)) + text if length <= 0xFFFF else None
