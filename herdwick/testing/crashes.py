"""Crashes: how a test asks for one, and which ones it did not ask for."""

from collections.abc import Sequence
from typing import Final, Never

import anyio

from herdwick.runtime import (
    ActorStopped,
    Down,
    Event,
    Exited,
    Once,
    Ref,
    RestartLimitReached,
    Slot,
    Started,
    StartFailed,
    Waiters,
    slot_of,
)

from .clock import settle

ASKED_FOR: Final = "(the test asked for this crash)"
SHOWN: Final = 5
"""Crashes that an error tells of; a loop of them fills no screens."""


class StillDown(TimeoutError):
    """An actor that was crashed has not ended, or not come back, in time."""

    def __init__(self, actor: str, state: str, timeout: float) -> None:
        super().__init__(
            f"{actor} is {state} {timeout:g} s after its crash; give `crash` a longer timeout if "
            "its stop hook or its backoff may take so long"
        )
        self.actor = actor
        self.state = state
        self.timeout = timeout


class NoCrash(AssertionError):
    """An actor was expected to crash, and did not."""

    def __init__(self, actor: str, kind: type[BaseException], others: Sequence[Exited]) -> None:
        instead = "; ".join(f"{exited.path} crashed: {exited.reason.error}" for exited in others)
        super().__init__(
            f"{actor} was expected to crash with {kind.__name__}, and did not"
            + (f"; instead {instead}" if instead else "")
        )
        self.actor = actor
        self.kind = kind


class UnexpectedCrash(AssertionError):
    """Actors crashed, and the test had not asked for it; the errors are its cause."""

    def __init__(self, crashes: Sequence[Exited]) -> None:
        lines = [
            f"  {each.path}, incarnation {each.incarnation}: {each.reason.error}"
            for each in crashes
        ]
        more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        super().__init__(
            "\n".join(
                [
                    "the test did not ask for these crashes:",
                    *lines[:SHOWN],
                    *more,
                    "where one is meant, use `await crash(ref, error)`, or wait for it within "
                    "`async with harness.expect_crash(ref, ErrorType):`",
                ]
            )
        )
        self.crashes = tuple(crashes)
        errors = [each.error for each in crashes[:SHOWN] if each.error is not None]
        together = BaseExceptionGroup("the crashes", errors) if len(errors) > 1 else None
        self.__cause__ = together or next(iter(errors), None)


async def crash(ref: Ref[Never], error: BaseException, *, timeout: float = 10.0) -> None:
    """Crash an actor with `error`, as if what it does now had raised it.

    Returns when the incarnation is completely gone, its stop hook included, the next one has
    started, if there is to be one, and all have settled, those of its group too. What waits in
    its mailbox fares as in any crash: a message that must have been handled before is best asked.

    Raises:
        ActorStopped: It does not run.
        StillDown: All that took longer than `timeout` seconds.
    """
    slot = slot_of(ref)
    life = None if slot is None else slot.life
    if slot is None or life is None or life.over:
        raise ActorStopped(ref.path)
    error.add_note(ASKED_FOR)
    back = Once()

    def look(event: Event) -> None:
        if isinstance(event, Started) and event.path == ref.path:
            back.happen()

    forget = life.surroundings.events.subscribe(look)
    life.fail(error)
    try:
        with anyio.move_on_after(timeout):
            await life.over.wait()
            await _back_or_gone(slot, back)
            await settle()
            return
        raise StillDown(ref.path, slot.state, timeout)
    finally:
        forget()


async def _back_or_gone(slot: Slot, back: Once) -> None:
    if not slot.gone:
        slot.gone.then(back.happen)
        await back.wait()


class Crashes:
    """The crashes of one system, and which of them its test has asked for."""

    def __init__(self) -> None:
        self._all: list[Exited] = []
        self._told: list[Exited] = []
        """Those that whoever started the actor got raised, as a failed start."""
        self._expected: list[BaseException] = []
        self._running: set[tuple[str, int]] = set()
        self._happened = Waiters()

    def see(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Started):
            self._running.add((event.path, event.incarnation))
        elif isinstance(event, Exited):
            if event.reason.kind == "crash":
                self._crashed(event)
            self._running.discard((event.path, event.incarnation))

    def __len__(self) -> int:
        return len(self._all)

    @property
    def running(self) -> list[str]:
        """The actors that have started and not ended, each as `path, incarnation n`."""
        return [f"{path}, incarnation {number}" for path, number in sorted(self._running)]

    async def expect(
        self, path: str, kind: type[BaseException], since: int, timeout: float
    ) -> BaseException:
        """Wait for crashes of an actor, the first `since` left out, and take them as asked for.

        Raises:
            NoCrash: There was none in time.
        """
        with anyio.move_on_after(timeout):
            while not self._of(path, kind, since):
                await self._happened.wait()
        errors = self._of(path, kind, since)
        if not errors:
            raise NoCrash(path, kind, self._all[since:])
        self._expected += errors
        return errors[0]

    def claim(self, down: Down) -> None:
        """Take the crash that a `Down` tells of as asked for."""
        for each in self._all:
            alike = (each.path, each.reason) == (down.ref.path, down.reason)
            if alike and each.error is not None and not self._is_expected(each.error):
                self._expected.append(each.error)
                return

    def unexpected(self) -> list[Exited]:
        """Give those that nobody asked for, each cause once.

        A start that fails the first time is not among them: whoever started it was told.
        """
        return [each for each in self._all if self._counts(each)]

    def _crashed(self, crash: Exited) -> None:
        self._all.append(crash)
        if crash.incarnation == 1 and (crash.path, 1) not in self._running:
            self._told.append(crash)
        self._happened.wake_all()

    def _of(self, path: str, kind: type[BaseException], since: int) -> list[BaseException]:
        return [
            each.error
            for each in self._all[since:]
            if each.path == path and isinstance(each.error, kind)
        ]

    def _counts(self, crash: Exited) -> bool:
        if any(crash is each for each in self._told):
            return False
        error = crash.error
        if isinstance(error, RestartLimitReached | StartFailed) and error.__cause__ is not None:
            return not any(each.error is error.__cause__ for each in self._all)
        return error is None or not self._is_expected(error)

    def _is_expected(self, error: BaseException) -> bool:
        asked_for = ASKED_FOR in getattr(error, "__notes__", ())
        return asked_for or any(error is each for each in self._expected)
