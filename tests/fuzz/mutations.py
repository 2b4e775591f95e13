"""How a good file becomes a bad one, by chance."""

import json
import random
import struct
from collections.abc import Sequence


INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
VALUES = (
    *(None, True, -1, 0, 1, 2, 3.5, 65536, 10**9, 10**20, 1e308, -1e-308, float("nan"), float("inf")),
    *("", "x", "0", "../../etc/passwd", "/etc/passwd", "\0", "\ud800", "é" * 300, "a b\nc", "#JSGF V1.0;"),
    *([], {}, [[]], {"": {}}, [0] * 50, [None], ["x", 1], {"a": 1}, [[1, 2], [3]]),
)


def mutate(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A few changes to bytes; `others` are good files of which pieces may come."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8, 20))):
        kind = rng.randrange(10)
        size = max(len(data), 1)
        # Headers are at both ends: half of the changes go there.
        at = rng.choice((rng.randrange(size), rng.randrange(min(size, 600)), max(size - 1 - rng.randrange(600), 0)))
        length = rng.choice((1, 2, 4, 8, 16, 188, 1000, rng.randrange(size) + 1))
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.choice(INTERESTING[:5])
        elif kind in (2, 3):
            width, number = (
                rng.choice(((">H", 2), ("<H", 2), (">I", 4), ("<I", 4), (">Q", 8))),
                rng.choice(INTERESTING),
            )
            data[at : at + width[1]] = struct.pack(width[0], number & ((1 << 8 * width[1]) - 1))
        elif kind == 4:
            data[at : at + length] = rng.randbytes(min(length, 5000))
        elif kind == 5:
            del data[at : at + length]
        elif kind == 6:
            data[at:at] = data[at : at + length]
        elif kind == 7:
            del data[at:]
        elif kind == 8:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at:at] = other[start : start + length]
        else:
            data = data + rng.choice(others)
    return bytes(data[: 1 << 20])


def mutate_json(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """JSON with other values here and there; sometimes none any more."""
    if rng.random() < 0.2:
        return mutate(content, others, rng)
    value = json.loads(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = _changed(value, rng)
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")


def _changed(value: object, rng: random.Random) -> object:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: each for name, each in value.items() if name != key}
        return value | {key: _changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], _changed(value[place], rng), *value[place + 1 :]]
    return rng.choice(VALUES)


def mutate_text(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Text with lines and words moved, doubled, lost or of another kind."""
    if rng.random() < 0.3:
        return mutate(content, others, rng)
    lines = content.decode(errors="replace").split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(lines))
        words = lines[place].split(" ")
        kind = rng.randrange(5)
        if kind == 0:
            del lines[place]
        elif kind == 1:
            lines.insert(place, rng.choice(lines))
        elif kind == 2:
            words[rng.randrange(len(words))] = str(rng.choice(VALUES))
            lines[place] = " ".join(words)
        elif kind == 3:
            lines[place] = lines[place] * rng.choice((2, 50))
        else:
            rng.shuffle(words)
            lines[place] = " ".join(words)
        lines = lines or [""]
    return "\n".join(lines).encode(errors="surrogatepass")
