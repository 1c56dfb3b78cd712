"""Taking signals over, and giving them back."""

import signal
from threading import Thread

import anyio

from herdwick.server.signals import STOP_SIGNALS, StopSignals


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in STOP_SIGNALS]


def test_the_block_gives_back_what_it_took() -> None:
    before = handlers()

    with StopSignals(STOP_SIGNALS, deadline=30):
        inside = handlers()

    assert all(one is not other for one, other in zip(inside, before, strict=True))
    assert handlers() == before


def test_off_the_main_thread_no_signals_are_taken() -> None:
    before = handlers()
    inside: list[object] = []

    def take() -> None:
        with StopSignals(STOP_SIGNALS, deadline=30):
            inside.extend(handlers())

    thread = Thread(target=take)
    thread.start()
    thread.join()

    assert inside == before


async def test_a_signal_asks_to_stop() -> None:
    with StopSignals(STOP_SIGNALS, deadline=30) as stop:
        stop.attach()
        signal.raise_signal(signal.SIGTERM)
        with anyio.fail_after(30):
            await stop.asked.wait()

    assert stop.first is signal.SIGTERM


async def test_a_signal_before_the_loop_is_attached_counts() -> None:
    with StopSignals(STOP_SIGNALS, deadline=30) as stop:
        signal.raise_signal(signal.SIGINT)
        stop.attach()
        with anyio.fail_after(30):
            await stop.asked.wait()

    assert stop.first is signal.SIGINT
