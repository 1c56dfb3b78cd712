"""Tests of examples/iot_gateway.py."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from examples import iot_gateway
from examples.iot_gateway import KEYS, Device, IsOnline, Reboot, app, devices, readings, sockets
from herdwick import Ref, serve
from herdwick.testing import crash
from tests.examples.client import PATIENCE
from tests.support.clients import Closed, Peer, Refused, closing
from tests.support.clients import httpx_ws_client as connect
from tests.support.waiting import until

KEY_OF = {claims["sub"]: {"Authorization": f"Bearer {key}"} for key, claims in KEYS.items()}
OPERATOR = KEY_OF["ada"]


@pytest.fixture(autouse=True)
def nothing_yet() -> Iterator[None]:
    yield
    readings.clear()
    sockets.clear()


@asynccontextmanager
async def attached(url: str, name: str = "pump") -> AsyncGenerator[Peer]:
    """Be a device whose actor knows that it has connected."""
    before = sockets.get(name)
    headers = KEY_OF[name]
    async with connect(f"{url}/device/{name}", headers=headers, subprotocols=["iot.v2"]) as peer:
        await until(lambda: sockets.get(name) not in (None, before))
        yield peer


async def call(url: str, path: str, method: str = "POST") -> httpx.Response:
    """Call as an operator."""
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False, headers=OPERATOR) as http:
        return await http.request(method, f"{url}/devices/{path}")


@asynccontextmanager
async def rebooting(
    url: str, peer: Peer, name: str = "pump"
) -> AsyncGenerator[list[httpx.Response]]:
    """Have an operator wait for a reboot, of which the device has heard; leave with the answer."""
    answers: list[httpx.Response] = []

    async def order() -> None:
        answers.append(await call(url, f"{name}/reboot"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(order)
        assert await peer.receive() == b"\x01"
        yield answers


async def send_reading(peer: Peer, name: str, reading: bytes) -> None:
    """Send a reading, and wait until it is stored."""
    await peer.send(b"\x03" + reading)
    await until(lambda: readings.get(name) == reading)


# ---------------------------------------------------------------------------- devices


async def test_what_a_device_sends_is_shown_to_an_operator() -> None:
    async with serve(app) as url, attached(url) as pump:
        await send_reading(pump, "pump", b"\x15")

        shown = await call(url, "pump", "GET")

        assert pump.subprotocol == "iot.v2"
        assert shown.json() == {"online": True, "reading": "15"}


@pytest.mark.parametrize(
    ("key", "offered", "status"),
    [
        ("nobody", ["iot.v2"], 401),
        ("dog", ["iot.v2"], 403),
        ("fell", ["iot.v2"], 403),
        ("wool", ["iot.v1"], 400),
    ],
    ids=["no key", "an operator's key", "another device's key", "another subprotocol"],
)
async def test_who_is_not_the_device_is_refused(key: str, offered: list[str], status: int) -> None:
    async with serve(app) as url:
        headers = {"Authorization": f"Bearer {key}"}

        with pytest.raises(Refused) as refused:
            async with connect(f"{url}/device/pump", headers=headers, subprotocols=offered):
                pass

    assert refused.value.status == status


async def test_frames_that_mean_nothing_harm_nobody() -> None:
    async with serve(app) as url, attached(url) as pump:
        for odd in (b"", b"\x02", b"\x02\x00", b"\x07?"):
            await pump.send(odd)
        await send_reading(pump, "pump", b"fine")

        assert sockets.keys() == {"pump"}


async def test_text_is_no_frame_and_closes_with_1003() -> None:
    async with serve(app) as url, attached(url) as pump:
        await pump.send("text")

        assert (await closing(pump)).code == 1003


async def test_a_device_that_has_left_is_offline_and_keeps_its_last_reading() -> None:
    async with serve(app) as url:
        async with attached(url) as pump:
            await send_reading(pump, "pump", b"\x15")
        await until(lambda: not sockets)

        shown = await call(url, "pump", "GET")

    assert shown.json() == {"online": False, "reading": "15"}


# ---------------------------------------------------------------------------- reboots


async def test_a_reboot_waits_for_the_answer_of_the_device() -> None:
    async with serve(app) as url, attached(url) as pump, rebooting(url, pump) as answers:
        await send_reading(pump, "pump", b"still here")
        assert answers == []
        await pump.send(b"\x02\x07")

    assert answers[0].json() == {"code": 7}


async def test_operators_who_reboot_a_device_together_reboot_it_once() -> None:
    codes: list[int] = []

    async def order(pump: Ref[Reboot]) -> None:
        codes.append(await pump.ask(Reboot(), timeout=PATIENCE))

    async with serve(app) as url, attached(url) as peer:
        pump = await app.get(devices, "pump")
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(order, pump)
            await until(lambda: app.system.statistics(pump).high_water == 3)
            await pump.ask(IsOnline())
            await peer.send(b"\x02\x00")
        await app.drain()

        assert await peer.receive() == b"\x01"
        with pytest.raises(Closed):
            await peer.receive()
    assert codes == [0, 0, 0]


async def test_an_operator_cannot_reboot_what_is_offline_or_unknown() -> None:
    async with serve(app) as url:
        offline, unknown = await call(url, "pump/reboot"), await call(url, "pomp/reboot")

    assert (offline.status_code, offline.text) == (409, "pump is offline")
    assert (unknown.status_code, unknown.text) == (404, "there is no device pomp")


@pytest.mark.parametrize(("headers", "status"), [({}, 401), (KEY_OF["pump"], 403)])
async def test_nobody_but_an_operator_reboots_a_device(headers: Any, status: int) -> None:
    async with serve(app) as url, httpx.AsyncClient(trust_env=False, headers=headers) as http:
        assert (await http.post(f"{url}/devices/pump/reboot")).status_code == status


async def test_a_device_that_does_not_answer_is_a_504_and_is_told_again_by_the_next_reboot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serve(app) as url, attached(url) as pump:
        with monkeypatch.context() as hasty:
            hasty.setattr(iot_gateway, "PATIENCE", 0.5)
            async with rebooting(url, pump) as ignored:
                pass
        async with rebooting(url, pump) as heard:
            await pump.send(b"\x02\x00")

    assert ignored[0].status_code == 504
    assert heard[0].json() == {"code": 0}


async def test_a_device_that_leaves_before_it_answers_is_a_502() -> None:
    async with serve(app) as url, attached(url) as pump, rebooting(url, pump) as answers:
        await pump.close()

    assert answers[0].status_code == 502
    assert answers[0].text == "no answer from pump: it has left"


async def test_an_answer_counts_although_the_device_leaves_right_after_it() -> None:
    async with serve(app) as url, attached(url) as pump, rebooting(url, pump) as answers:
        await pump.send(b"\x02\x00")
        await pump.close()

    assert answers[0].json() == {"code": 0}


# ---------------------------------------------------------------------------- connections


async def test_a_second_connection_of_a_device_replaces_the_first() -> None:
    async with (
        serve(app) as url,
        attached(url) as first,
        rebooting(url, first) as lost,
        attached(url) as second,
    ):
        closed = await closing(first)
        async with rebooting(url, second) as answers:
            await second.send(b"\x02\x00")

    assert (closed.code, closed.reason) == (4000, "replaced")
    assert lost[0].status_code == 502
    assert lost[0].text == "no answer from pump: it has connected anew"
    assert answers[0].json() == {"code": 0}


async def test_a_full_mailbox_slows_its_own_socket_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored: dict[str, list[bytes]] = {"pump": [], "boiler": []}
    database_is_up = anyio.Event()

    async def slow(device_id: str, reading: bytes) -> None:
        if device_id == "pump":
            await database_is_up.wait()
        stored[device_id].append(reading)

    monkeypatch.setattr(iot_gateway, "store", slow)
    sent = [bytes([number]) for number in range(250)]
    async with serve(app) as url, attached(url) as pump, attached(url, "boiler") as boiler:
        actor = await app.get(devices, "pump")
        for reading in sent:
            await pump.send(b"\x03" + reading)
        await until(lambda: app.system.statistics(actor).mailbox == 64)
        await boiler.send(b"\x03warm")
        await until(lambda: stored["boiler"])
        busy = await call(url, "pump/reboot")
        database_is_up.set()
        await until(lambda: len(stored["pump"]) == len(sent))

    assert stored == {"pump": sent, "boiler": [b"warm"]}
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")


# ---------------------------------------------------------------------------- crashes


async def test_a_crash_closes_no_socket_and_the_next_incarnation_knows_it() -> None:
    async with serve(app) as url, attached(url) as pump:
        actor = await app.get(devices, "pump")
        await crash(actor, RuntimeError("a bug"))

        async with rebooting(url, pump) as answers:
            await send_reading(pump, "pump", b"next")
            await pump.send(b"\x02\x00")

        assert app.system.statistics(actor).incarnation == 2
        assert answers[0].json() == {"code": 0}
        await pump.close()
        await until(lambda: not sockets)  # the next one monitors it too


async def test_a_crash_while_an_operator_waits_is_a_500_at_once() -> None:
    async with serve(app) as url, attached(url) as pump, rebooting(url, pump) as answers:
        await crash(await app.get(devices, "pump"), RuntimeError("a bug"))

    assert answers[0].status_code == 500


async def test_a_socket_that_ends_while_its_actor_is_down_is_not_taken_for_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_start = anyio.Event()
    on_start: Callable[[Device], Any] = Device.on_start

    async def slow_start(device: Device) -> None:
        await may_start.wait()
        await on_start(device)

    async with serve(app) as url, attached(url) as pump:
        actor = await app.get(devices, "pump")
        monkeypatch.setattr(Device, "on_start", slow_start)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(crash, actor, RuntimeError("a bug"))
            await until(lambda: app.system.statistics(actor).state == "starting")
            await pump.close()
            await until(lambda: not app.connections)
            may_start.set()

        assert not await actor.ask(IsOnline())


async def test_a_device_whose_actor_was_given_up_is_closed_and_comes_back_with_a_new_one() -> None:
    async with serve(app) as url, attached(url) as pump, attached(url, "boiler") as boiler:
        for _ in range(4):
            await crash(await app.get(devices, "pump"), RuntimeError("a bug"))
        await pump.send(b"\x03lost")
        closed = await closing(pump)

        async with attached(url) as again:
            await send_reading(again, "pump", b"found")
        await send_reading(boiler, "boiler", b"warm")

    assert closed.code == 1011


async def test_devices_come_back_after_the_server_has_stopped_and_started() -> None:
    for _ in range(2):
        async with serve(app) as url, attached(url) as pump:
            await send_reading(pump, "pump", b"here")
