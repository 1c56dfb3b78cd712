"""Frames that break the rules: always a close frame with the right code, then the end."""

import anyio
import pytest

from tests.abuse.field import Field, close_code, reset
from tests.server.wire import close, connected, frame, text, upgrade

MIB = 1 << 20


def raw(first: int, second: int, *, length: bytes = b"", payload: bytes = b"") -> bytes:
    """Build a frame of whatever bytes, with a mask of zeros."""
    return bytes([first, second]) + length + bytes(4) + payload


def fragments(*payloads: bytes, opcode: int = 1) -> bytes:
    """Build fragments of a message that has not ended yet."""
    first, *others = payloads
    parts = [frame(opcode, first, fin=False), *(frame(0, each, fin=False) for each in others)]
    return b"".join(parts)


EURO = "€".encode()

CLOSED = {
    # The first two bytes.
    "rsv1": (raw(0xC1, 0x80), 1002),
    "rsv2": (raw(0xA1, 0x80), 1002),
    "rsv3": (raw(0x91, 0x80), 1002),
    "rsv1 on a ping": (raw(0xC9, 0x80), 1002),
    "rsv1 on a continuation": (frame(1, b"a", fin=False) + raw(0xC0, 0x80), 1002),
    "all reserved bits on a close": (raw(0xF8, 0x80), 1002),
    **{f"opcode {opcode}": (raw(0x80 | opcode, 0x80), 1002) for opcode in (3, 4, 5, 6, 7)},
    **{f"opcode {opcode}": (raw(0x80 | opcode, 0x80), 1002) for opcode in range(11, 16)},
    "no mask": (b"\x81\x05hello", 1002),
    "no mask on a ping": (b"\x89\x00", 1002),
    "no mask on a close": (b"\x88\x02\x03\xe8", 1002),
    "no mask on the second fragment": (frame(1, b"a", fin=False) + b"\x80\x01b", 1002),
    "a server's frame": (b"\x82\x7e\x00\x80" + bytes(128), 1002),
    # Control frames.
    "ping in fragments": (raw(0x09, 0x80), 1002),
    "pong in fragments": (raw(0x0A, 0x80), 1002),
    "close in fragments": (raw(0x08, 0x82, payload=b"\x03\xe8"), 1002),
    "ping of 126 bytes": (frame(9, bytes(126)), 1002),
    "pong of 126 bytes": (frame(10, bytes(126)), 1002),
    "close of 126 bytes": (close(1000, "x" * 124), 1002),
    "ping of 2 to the 62 bytes": (raw(0x89, 0xFF, length=b"\x40" + bytes(7)), 1002),
    # Lengths.
    "1 MiB and 1 byte, its header only": (frame(2, bytes(MIB + 1))[:10], 1009),
    "1 MiB and 1 byte of text": (frame(1, bytes(MIB + 1)), 1009),
    "2 to the 62 bytes": (raw(0x82, 0xFF, length=b"\x40" + bytes(7)), 1009),
    "63 bits of length": (raw(0x82, 0xFF, length=b"\x7f" + b"\xff" * 7), 1009),
    "64 bits of length": (raw(0x82, 0xFF, length=b"\xff" * 8), 1002),
    "top bit of the length": (raw(0x82, 0xFF, length=b"\x80" + bytes(7)), 1002),
    "fragments over 1 MiB": (fragments(bytes(MIB), b"a", opcode=2), 1009),
    "64 KiB fragments over 1 MiB": (fragments(*[bytes(1 << 16)] * 17, opcode=2), 1009),
    "text in fragments over 1 MiB": (fragments(*[b"a" * (1 << 18)] * 5), 1009),
    "last fragment over 1 MiB": (fragments(bytes(MIB), opcode=2) + frame(0, b"a"), 1009),
    # Fragments.
    "1025 empty fragments": (fragments(*[b""] * 1025), 1008),
    "1025 tiny fragments": (fragments(*[b"a"] * 1025, opcode=2), 1008),
    "20000 empty fragments": (fragments(*[b""] * 20_000), 1008),
    "1025th fragment is the last": (fragments(*[b"a"] * 1024) + frame(0, b"a"), 1008),
    "continuation of nothing": (frame(0, b"a"), 1002),
    "continuation of nothing, open": (frame(0, b"a", fin=False), 1002),
    "continuation of what has ended": (
        frame(1, b"a", fin=False) + frame(0, b"b") + frame(0, b"c"),
        1002,
    ),
    "text between fragments": (frame(1, b"a", fin=False) + text("b"), 1002),
    "bytes between fragments": (frame(2, b"a", fin=False) + frame(2, b"b", fin=False), 1002),
    # Text.
    "lone byte": (frame(1, b"\xff"), 1007),
    "lone continuation byte": (frame(1, b"\x80"), 1007),
    "overlong slash": (frame(1, b"\xc0\xaf"), 1007),
    "overlong nul": (frame(1, b"\xe0\x80\x80"), 1007),
    "surrogate": (frame(1, b"\xed\xa0\x80"), 1007),
    "surrogate pair": (frame(1, b"\xed\xa0\xbd\xed\xb8\x80"), 1007),
    "beyond unicode": (frame(1, b"\xf4\x90\x80\x80"), 1007),
    "five bytes": (frame(1, b"\xf8\x88\x80\x80\x80"), 1007),
    "cut short": (frame(1, EURO[:2]), 1007),
    "bad byte behind 100 KiB": (frame(1, b"a" * 100_000 + b"\xff"), 1007),
    "bad byte in a fragment": (frame(1, b"a\xffb", fin=False), 1007),
    "bad byte in the second fragment": (fragments(b"a", b"\xff"), 1007),
    "character torn and not ended": (frame(1, EURO[:1], fin=False) + frame(0), 1007),
    "character torn and ended badly": (fragments(EURO[:1], b"a"), 1007),
    "character torn by empty ones": (fragments(EURO[:1], b"", b"", EURO[1:2]) + frame(0), 1007),
    # Close frames.
    "close of 1 byte": (frame(8, b"\x03"), 1002),
    **{
        f"close with {code}": (close(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "close reason that is no utf-8": (frame(8, b"\x03\xe8\xff"), 1007),
    "close reason cut short": (frame(8, b"\x03\xe8" + EURO[:2]), 1007),
    "sound and then bad": (text("hello") + raw(0x83, 0x80), 1002),
}


@pytest.mark.parametrize("name", CLOSED)
async def test_a_broken_rule_is_a_close_frame_with_its_code(field: Field, name: str) -> None:
    data, code = CLOSED[name]
    async with field.client("/deaf") as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(wire.send, data)
        opcode, payload = await wire.frame()

        assert (opcode, int.from_bytes(payload[:2], "big")) == (8, code)
        assert await wire.rest() == b""
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["rsv1", "cut short", "1025 empty fragments", "close of 1 byte"])
async def test_it_does_not_matter_how_the_bytes_are_cut(field: Field, name: str) -> None:
    data, code = CLOSED[name]
    async with field.client() as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(one_by_one, wire.stream, data)

        assert await close_code(wire) == code
        tasks.cancel_scope.cancel()


async def one_by_one(stream: anyio.abc.SocketStream, data: bytes) -> None:
    try:
        for at in range(len(data)):
            await stream.send(data[at : at + 1])
    except anyio.BrokenResourceError:
        return


TAKEN = {
    "16 bits for a short length": (raw(0x82, 0xFE, length=b"\x00\x01", payload=b"a"), b"a"),
    "64 bits for a short length": (raw(0x82, 0xFF, length=bytes(7) + b"\x01", payload=b"a"), b"a"),
    "64 bits for no length": (raw(0x81, 0xFF, length=bytes(8)), b""),
    "1 MiB": (frame(2, bytes(MIB)), bytes(MIB)),
    "1 MiB in fragments": (
        fragments(bytes(MIB - 1), opcode=2) + frame(0, b"a"),
        bytes(MIB - 1) + b"a",
    ),
    "1024 fragments": (fragments(*[b"a"] * 1023) + frame(0, b"a"), b"a" * 1024),
    "characters torn everywhere": (
        fragments(*[bytes([byte]) for byte in EURO * 20]) + frame(0),
        EURO * 20,
    ),
    "nul": (text("\x00"), b"\x00"),
    "last character": (text("\U0010ffff"), "\U0010ffff".encode()),
    "noncharacters": (text("\ufffe\uffff"), "\ufffe\uffff".encode()),
    "byte order mark": (text("\ufeffa"), "\ufeffa".encode()),
    "mask of zeros": (frame(1, b"hello", mask=bytes(4)), b"hello"),
    "pong that nobody asked for": (frame(10, b"!") + text("a"), b"a"),
}


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_odd_and_sound_is_a_message(field: Field, name: str) -> None:
    data, expected = TAKEN[name]
    async with field.client() as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(wire.send, data)

        assert (await wire.frame())[1] == expected


async def test_a_ping_between_fragments_is_answered_with_its_payload(field: Field) -> None:
    async with field.client() as wire:
        await wire.send(frame(1, b"a", fin=False) + frame(9, b"x" * 125) + frame(0, b"b"))

        assert await wire.frame() == (10, b"x" * 125)
        assert await wire.frame() == (1, b"ab")


async def test_what_comes_behind_a_bad_frame_is_never_read(field: Field) -> None:
    async with field.client() as wire:
        await wire.send(raw(0x83, 0x80) + text("hello") * 1000 + close(1000))

        assert await wire.frame() == (8, b"\x03\xea" + b"unknown opcode")
        assert await wire.rest() == b""


@pytest.mark.parametrize(
    ("closing", "answer"),
    [
        (close(), b""),
        (close(1000), b"\x03\xe8"),
        (close(4999, "x" * 123), b"\x13\x87" + b"x" * 123),
        (close(3000, "€"), b"\x0b\xb8" + EURO),
    ],
)
async def test_what_comes_behind_a_close_frame_is_never_read(
    field: Field, closing: bytes, answer: bytes
) -> None:
    async with field.client() as wire:
        await wire.send(closing + text("hello") + frame(9) + closing + raw(0x83, 0x80))

        assert await wire.frame() == (8, answer)
        assert await wire.rest() == b""


@pytest.mark.parametrize(
    "come",
    [
        b"\x81",
        frame(2, bytes(MIB))[: MIB // 2],
        fragments(*[b"a"] * 500),
        frame(9, b"x" * 100)[:50],
    ],
)
async def test_a_peer_that_resets_in_a_message_costs_nothing(field: Field, come: bytes) -> None:
    for _ in range(10):
        async with connected(field.url) as wire:
            assert (await wire.upgrade()).status == 101
            await wire.send(come)
            reset(wire)
    await field.echo()


async def test_a_peer_that_ends_in_a_message_is_let_go(field: Field) -> None:
    async with field.client() as wire:
        await wire.send(frame(2, bytes(MIB))[:1000])
        await wire.stream.send_eof()

        assert await wire.rest() == b""


async def test_resets_before_the_answer_are_none_of_the_others_business(field: Field) -> None:
    for _ in range(50):
        async with connected(field.url) as wire:
            await wire.send(upgrade() + text("hello") * 10)
            reset(wire)
    await field.echo()
