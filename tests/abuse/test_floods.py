"""Too much of what is allowed, and peers that do not end: bounded by limits and deadlines."""

from collections.abc import AsyncGenerator
from logging import WARNING

import anyio
import pytest
from anyio.abc import SocketStream

from herdwick import Limits
from tests.abuse.field import MIB, POURED, Field, close_code, make_app, open_field, reset, watched
from tests.server.wire import Wire, close, connected, frame, text
from tests.support.servers import Server
from tests.support.waiting import settled, until

SHORT = Limits(pause_timeout=0.3, send_timeout=0.3, close_timeout=0.3)

HELD = 64 * MIB
"""More than the kernel and the limits together hold of what nobody reads."""


@pytest.fixture(scope="module")
async def short_server(server: Server) -> AsyncGenerator[Field]:
    """A server whose deadlines are short."""
    async with open_field(server, SHORT) as field:
        yield field


@pytest.fixture
async def hasty(short_server: Field, caplog: pytest.LogCaptureFixture) -> AsyncGenerator[Field]:
    """The same, watched."""
    async with watched(short_server, caplog) as field:
        yield field


async def pour(stream: SocketStream, data: bytes, sent: list[int]) -> None:
    """Send without end, and read nothing, until the server has enough."""
    try:
        while True:
            await stream.send(data)
            sent.append(len(data))
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


# Control frames.


@pytest.mark.parametrize("opcode", [9, 10])
async def test_a_flood_of_control_frames_is_1008(field: Field, opcode: int) -> None:
    sent: list[int] = []
    async with field.flooded() as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(pour, wire.stream, frame(opcode, b"x" * 125) * 100, sent)

        assert await close_code(wire) == 1008
        tasks.cancel_scope.cancel()


async def test_control_frames_between_fragments_count_too(field: Field) -> None:
    async with field.client() as wire:
        await wire.send(frame(1, b"a", fin=False) + frame(9) * 60)

        assert await close_code(wire) == 1008


async def test_pongs_obey_the_flow_and_only_the_newest_are_owed(field: Field) -> None:
    async with field.flooded("/pour") as wire:
        await settled(lambda: len(field.poured))
        assert len(field.poured) < POURED
        await wire.send(b"".join(frame(9, b"%d" % number) for number in range(50)))
        await settled(lambda: len(field.poured))

        assert await pongs_of(wire) == [b"%d" % number for number in range(18, 50)]


async def pongs_of(wire: Wire) -> list[bytes]:
    """Read all that is poured, and give the pongs that come among it."""
    pongs: list[bytes] = []
    messages = 0
    while messages < POURED or len(pongs) < 32:
        opcode, payload = await wire.frame()
        if opcode == 10:
            pongs.append(payload)
        else:
            messages += 1
    return pongs


# Messages.


@pytest.mark.parametrize("data", [text("x") * 1000, frame(2, bytes(MIB))])
async def test_who_sends_what_nobody_reads_is_held_and_then_1008(hasty: Field, data: bytes) -> None:
    sent: list[int] = []
    async with hasty.flooded("/deaf") as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(pour, wire.stream, data, sent)

        assert (await wire.close_frame())[0] == 1008
        tasks.cancel_scope.cancel()
    assert sum(sent) < HELD


async def test_who_reads_none_of_the_answers_is_cut(hasty: Field) -> None:
    async with hasty.flooded() as wire:
        await pour(wire.stream, frame(2, bytes(MIB)), [])


async def test_who_reads_nothing_that_is_poured_is_cut(hasty: Field) -> None:
    hasty.poured.clear()
    async with hasty.flooded("/pour") as wire:
        await until(lambda: hasty.app.connections == 1)

        assert len(hasty.poured) < POURED
        with pytest.raises((anyio.IncompleteRead, anyio.BrokenResourceError)):
            await pongs_of(wire)


async def test_twenty_floods_at_once_leave_the_bystander_its_second(hasty: Field) -> None:
    async def attack() -> None:
        async with connected(hasty.url) as wire:
            assert (await wire.upgrade("/deaf")).status == 101
            await pour(wire.stream, text("x" * 100) * 100, [])

    async with hasty.flooded(), anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(attack)


async def test_hundreds_of_connections_that_come_and_go_cost_nothing(field: Field) -> None:
    async def come_and_go(number: int) -> None:
        for _ in range(8):
            async with connected(field.url) as wire:
                assert (await wire.upgrade()).status == 101
                if number % 3 == 0:
                    reset(wire)
                elif number % 3 == 1:
                    await wire.send(text("hello") + close(1000))

    async with field.flooded(), anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(come_and_go, number)


# Ends.


async def test_a_peer_that_goes_on_after_its_fault_is_cut_at_the_deadline(hasty: Field) -> None:
    async with hasty.flooded() as wire:
        await wire.send(b"\x83\x80")
        assert (await wire.close_frame())[0] == 1002

        await pour(wire.stream, text("more") * 1000, [])


async def test_a_peer_that_is_mute_after_its_fault_is_cut_at_the_deadline(hasty: Field) -> None:
    async with hasty.client() as wire:
        await wire.send(b"\x83\x80")
        assert await close_code(wire) == 1002

        await hasty.let_go()


async def test_a_peer_that_does_not_answer_our_close_is_cut_at_the_deadline(hasty: Field) -> None:
    async with hasty.client("/close") as wire:
        assert await wire.close_frame() == (4000, "that is all")
        assert await wire.rest() == b""


async def test_a_peer_that_talks_on_after_our_close_is_cut_at_the_deadline(hasty: Field) -> None:
    async with hasty.client("/close") as wire:
        assert await wire.close_frame() == (4000, "that is all")

        await pour(wire.stream, text("more") * 1000, [])


async def test_a_peer_that_never_closes_its_half_is_let_go(hasty: Field) -> None:
    async with hasty.client() as wire:
        await wire.send(close(1000))
        assert await close_code(wire) == 1000

        await hasty.let_go()


async def test_a_peer_that_never_reads_the_refusal_is_let_go(hasty: Field) -> None:
    async with hasty.attacker() as wire:
        await wire.send(b"GET / HTTP/1.1\r\n\r\n")

        await hasty.let_go()


async def test_a_dead_peer_is_1011(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app([], Limits(ping_interval=0.2, ping_timeout=0.2, close_timeout=0.2))
    async with server.serve(app) as url, connected(url) as wire:
        assert (await wire.upgrade()).status == 101

        assert await wire.frame() == (9, b"")
        assert await close_code(wire) == 1011
        await until(lambda: app.connections == 0)
    assert [record for record in caplog.records if record.levelno >= WARNING] == []
