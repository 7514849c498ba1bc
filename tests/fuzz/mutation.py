"""Damaged copies of a file: bytes flipped, cut, moved and doubled, numbers made absurd, seeded."""

import random
import re
from collections.abc import Callable, Iterator

_Mutate = Callable[[bytes, random.Random], bytes]

_INTEGERS = [0, 1, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]

# fmt: off
_WORDS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1", b"0", b"1e308", b"1e-320", b"1.5", b"null",
    b"true", b'""', b'"x"', b"[]", b"{}", b"[1]", b"-9223372036854775809", b"18446744073709551616",
    b"9" * 400, b"9" * 5000, b"[" * 20, b"[" * 3000, b"\xff\xfe", b"\0", b"2001-99-99",
    b"? [a] : b", b"*a", b"&a [*a]", b"!!python/object/apply:os.getcwd []", b"<<: {}", b"../../x",
    b"${a.b}", b".nan",
]
# fmt: on
"""What a number or a word of a text file may be replaced with."""


def mutants(
    content: bytes, count: int, seed: int, *, text: bool = False, within: slice = slice(None)
) -> Iterator[bytes]:
    """Yield damaged copies of a file's content, each other than the original.

    Args:
        content: Of a whole file.
        count: How many.
        seed: Of the damage.
        text: Damage words and lines rather than bytes, most of the time.
        within: The part that is damaged.
    """
    dice = random.Random(seed)
    start, stop, _ = within.indices(len(content))
    head, middle, tail = content[:start], content[start:stop], content[stop:]
    made = 0
    while made < count:
        damaged = middle
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            ways = _TEXT_WAYS if text and dice.random() < 0.8 else _BYTE_WAYS
            damaged = dice.choice(ways)(damaged, dice)
        if damaged != middle:
            made += 1
            yield head + damaged + tail


def _flip(content: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(content) + 1)
    flipped = bytes(byte ^ 1 << dice.randrange(8) for byte in content[place : place + 1])
    return content[:place] + flipped + content[place + 1 :]


def _noise(content: bytes, dice: random.Random) -> bytes:
    place, length = dice.randrange(len(content) + 1), dice.choice((1, 2, 4, 16))
    return content[:place] + dice.randbytes(length) + content[place + length :]


def _integer(content: bytes, dice: random.Random) -> bytes:
    """Write an absurd number over the bytes at some place."""
    size = dice.choice((1, 2, 4, 8))
    number = dice.choice(_INTEGERS) % 256**size
    place = dice.randrange(len(content) + 1)
    return (
        content[:place]
        + number.to_bytes(size, dice.choice(("big", "little")))
        + content[place + size :]
    )


def _truncate(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def _without(content: bytes, dice: random.Random) -> bytes:
    start, stop = _span(content, dice)
    return content[:start] + content[stop:]


def _twice(content: bytes, dice: random.Random) -> bytes:
    start, stop = _span(content, dice)
    return content[:stop] + content[start:]


def _moved(content: bytes, dice: random.Random) -> bytes:
    (start, stop), place = _span(content, dice), dice.randrange(len(content) + 1)
    return content[:place] + content[start:stop] + content[place:]


def _span(content: bytes, dice: random.Random) -> tuple[int, int]:
    start = dice.randrange(len(content) + 1)
    return start, min(start + dice.choice((1, 2, 4, 8, 64, 512)), len(content))


def _word(content: bytes, dice: random.Random) -> bytes:
    """Put something absurd in the place of a number or word."""
    words = list(re.finditer(rb"[-+.\w]+|\"[^\"]*\"", content))
    if not words:
        return content
    start, stop = dice.choice(words).span()
    return content[:start] + dice.choice(_WORDS) + content[stop:]


def _line(content: bytes, dice: random.Random) -> bytes:
    """Leave a line out, double it, or change it with another."""
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return content
    first, second = dice.randrange(len(lines)), dice.randrange(len(lines))
    way = dice.randrange(3)
    if way == 0:
        del lines[first]
    elif way == 1:
        lines.insert(second, lines[first])
    else:
        lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


_BYTE_WAYS: tuple[_Mutate, ...] = (
    _flip,
    _noise,
    _integer,
    _integer,
    _truncate,
    _without,
    _twice,
    _moved,
)
_TEXT_WAYS: tuple[_Mutate, ...] = (_word, _word, _word, _line)
