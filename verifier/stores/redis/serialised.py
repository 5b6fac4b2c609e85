"""Text inside the wrappings that clients' serialisers put around keys and values. Nothing is ever deserialised to an object.

Known wrappings: strings of Java's object serialisation (Spring's default for keys and values), JSON strings, Python pickles
of a string, MessagePack strings, PHP strings, and gzip or zlib around any of these.
"""

from __future__ import annotations

import json
import pickletools
import re
import zlib

UNPACKED_MAX = 1_000_000
"""Bytes that a compressed value may have when it is unpacked."""
_BEGIN = 6
"""Text begins with so many printable characters. A binary format has its magic number or a length there."""
_DAMAGE_MAX = 0.5
"""How much longer a text may become when its damaged bytes are escaped; each becomes three characters longer."""
_JAVA = b"\xac\xed\x00\x05"
_PHP = re.compile(rb's:(\d+):"(.*)";', re.DOTALL)
_PICKLED_TEXT = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "UNICODE"})
_PICKLE_FRAME = frozenset({"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "STOP"})
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def read_text(raw: bytes) -> str | None:
    """A value as text, without its wrapping. None where it is not text: it is unreadable, which says nothing about it."""
    unpacked = _unpack(raw)
    if unpacked is None:
        return None
    inner = unwrap(unpacked)
    found = unpacked if inner is None else inner
    text = _utf8(found)
    if text is None or _UNPRINTABLE.search(text):
        return _damaged(found)
    return text


def _damaged(raw: bytes) -> str | None:
    """Text with some bytes that are none, such as an error page in another encoding; None for a binary format."""
    text = _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", raw.decode("utf-8", "backslashreplace"))
    begins = len(raw) >= _BEGIN and all(0x20 <= byte < 0x7F for byte in raw[:_BEGIN])
    return text if begins and len(text) - len(raw) <= len(raw) * _DAMAGE_MAX else None


def unwrap(raw: bytes) -> bytes | None:
    """The text inside a wrapping of a known serialiser, or None where there is none."""
    for way in (_java, _json, _php, _message_pack, _pickle):
        if (found := way(raw)) is not None:
            return found
    return None


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _unpack(raw: bytes) -> bytes | None:
    """`raw`, unpacked if it is compressed; None where that fails or is too large."""
    gzip = raw[:2] == b"\x1f\x8b"
    if not gzip and not (raw[:1] == b"\x78" and raw[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda")):
        return raw
    worker = zlib.decompressobj(wbits=31 if gzip else 15)
    try:
        unpacked = worker.decompress(raw, UNPACKED_MAX)
    except zlib.error:
        return None if gzip else raw
    return unpacked if worker.eof else None


def _java(raw: bytes) -> bytes | None:
    """TC_STRING or TC_LONGSTRING of the Java Object Serialization Stream Protocol."""
    for mark, width in ((b"t", 2), (b"|", 8)):
        begin = len(_JAVA) + 1 + width
        if raw.startswith(_JAVA + mark) and int.from_bytes(raw[len(_JAVA) + 1 : begin], "big") == len(raw) - begin:
            return raw[begin:]
    return None


def _json(raw: bytes) -> bytes | None:
    if len(raw) < 2 or raw[:1] != b'"' or raw[-1:] != b'"':
        return None
    try:
        found = json.loads(raw)
        return found.encode() if isinstance(found, str) else None
    except ValueError:
        return None


def _php(raw: bytes) -> bytes | None:
    found = _PHP.fullmatch(raw)
    return found[2] if found and int(found[1]) == len(found[2]) else None


def _message_pack(raw: bytes) -> bytes | None:
    """`fixstr`, `str 8`, `str 16` or `str 32` over the whole value (https://github.com/msgpack/msgpack/blob/master/spec.md)."""
    if not raw:
        return None
    first = raw[0]
    if 0xA0 <= first <= 0xBF:
        return raw[1:] if first - 0xA0 == len(raw) - 1 else None
    width = {0xD9: 1, 0xDA: 2, 0xDB: 4}.get(first)
    if width and int.from_bytes(raw[1 : 1 + width], "big") == len(raw) - 1 - width:
        return raw[1 + width :]
    return None


def _pickle(raw: bytes) -> bytes | None:
    """The only text of a pickle. Its instructions are listed, not executed."""
    if raw[:1] != b"\x80":
        return None
    texts: list[bytes] = []
    try:
        for instruction, argument, _ in pickletools.genops(raw):
            if instruction.name in _PICKLED_TEXT and isinstance(argument, str | bytes):
                texts.append(argument.encode() if isinstance(argument, str) else argument)
            elif instruction.name not in _PICKLE_FRAME:
                return None
    except Exception:  # the module raises many kinds for bytes that are no pickle
        return None
    return texts[0] if len(texts) == 1 else None
