"""The harness: a system for the actors of one test, that tells what went wrong behind its back."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Concatenate, Final, Never, ParamSpec, Self, TypeVar, cast, overload

import anyio

from herdwick.runtime import (
    Actor,
    Child,
    Context,
    Event,
    Events,
    Once,
    Pool,
    Ref,
    StartFailed,
    Supervisable,
    Supervisor,
    System,
)

from .crashes import Crashes, UnexpectedCrash, crash
from .leaks import Leaked, LooseTasks
from .probe import Probe

M = TypeVar("M")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
P = ParamSpec("P")

MAX_RESTARTS: Final = 10
"""Within 5 s, for each actor; one that fails more often is given up."""


class ExpectedCrash:
    """What `async with harness.expect_crash(…) as crash` gives."""

    error: BaseException
    """The error that the actor has crashed with; there when the block is over."""


class Harness:
    """Runs actors under test, and fails the test for what nobody looked at.

    `async with Harness(*children) as harness` starts a system whose root, named "test", has these
    children; `spawn` and `start` add more. Leaving it stops all of them, and raises
    `UnexpectedCrash` if an actor crashed without the test having asked for it, or `Leaked` if
    something is left over. An error of the test's own comes first: the crashes become a note of
    it.

    It fits into a test and, since nothing in it ever cancels the block, into a fixture:

        @pytest.fixture
        async def harness() -> AsyncGenerator[Harness]:
            async with Harness(counter) as harness:
                yield harness

    Args:
        children: What runs besides, from the start.
        random: The chance in the backoffs, from 0 up to 1; 0 where nothing else is said, so that
            they wait for exactly as long as they say.

    Raises:
        StartFailed: A child did not start; those before it have been stopped again.
    """

    def __init__(self, *children: Supervisable, random: Callable[[], float] = float) -> None:
        self.events: list[Event] = []
        """All that has happened to the actors, from the first start on."""
        self._spawned = Pool("spawned", max_restarts=MAX_RESTARTS)
        root = Supervisor("test", *children, self._spawned, max_restarts=MAX_RESTARTS)
        self._crashes = Crashes()
        self._probes: list[Probe[Any]] = []
        self._names: Counter[str] = Counter()
        self._failure: BaseException | None = None
        self._settled = Once()
        self._leaving = Once()
        events = Events()
        events.subscribe(self.events.append)
        events.subscribe(self._crashes.see)
        self.system = System(root, events=events, random=random)
        """The system itself, for all that it offers beside."""

    async def __aenter__(self) -> Self:
        """Start the children."""
        self._tasks = LooseTasks()
        self._host = anyio.create_task_group()
        await self._host.__aenter__()
        self._host.start_soon(self._run)
        try:
            await self._settled.wait()
            if self._failure is not None:
                raise self._failure
        except BaseException as error:
            await self._stop(error)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop all actors, and say what went wrong behind the test's back."""
        __tracebackhide__ = True
        unanswered = self._unanswered()
        await self._stop(error)
        if isinstance(error, anyio.get_cancelled_exc_class()):
            return
        if error is None:
            self._raise([*self._crashed(), *await self._left(unanswered)])
        else:
            for problem in self._crashed(besides=error):
                error.add_note(_as_text(problem))

    # ------------------------------------------------------------------ actors

    async def spawn(
        self,
        factory: Callable[P, Actor[M]] | Callable[Concatenate[Context[M], P], Awaitable[None]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Ref[M]:
        """Start an actor, as `Child(factory, …)` would make it, and wait until it is ready.

        It comes back after a crash, 10 times within 5 s, and not when it stops itself; `start`
        takes any policy.

        Raises:
            StartFailed: It did not start.
        """
        child = Child(factory, *args, **kwargs).policy(restart="transient")
        return await self.start(child.named(self._free_name(child.name)))

    async def start(self, child: Child[M], /) -> Ref[M]:
        """Start an actor by its spec, name and policy included, and wait until it is ready.

        Raises:
            StartFailed: It did not start, or there is one of that name.
        """
        slot = self.system.spawn(self._spawned, child)
        life = slot.life
        assert life is not None
        await life.settled.wait()
        if not life.acknowledged:
            raise StartFailed(slot.path, str(life.reason)) from life.error
        return cast("Ref[M]", slot.ref())

    def ref(self, child: Child[M], /) -> Ref[M]:
        """Give the ref of a declared child; the spec itself is the key.

        Raises:
            NotFound: The child is in no part of the tree.
        """
        return self.system.ref(child)

    async def stop(self, ref: Ref[Never], /) -> None:
        """Stop an actor in order, and wait until it is gone; it does not come back.

        Raises:
            NotHandled: It is not there any more.
        """
        await self.system.terminate_child(ref)

    # ------------------------------------------------------------------ crashes

    async def crash(
        self, ref: Ref[Never], error: BaseException, /, *, timeout: float = 10.0
    ) -> None:
        """Crash an actor, and wait until it is back; see `herdwick.testing.crash`."""
        await crash(ref, error, timeout=timeout)

    @asynccontextmanager
    async def expect_crash(
        self,
        actor: Ref[Never] | str,
        kind: type[BaseException] = Exception,
        /,
        *,
        timeout: float = 1.0,
    ) -> AsyncGenerator[ExpectedCrash]:
        """Ask for what the block does: that an actor, by its ref or path, crashes of itself.

        Leaving the block waits for it for `timeout` seconds.

        Raises:
            NoCrash: It did not crash with that kind of error.
        """
        before, expected = len(self._crashes), ExpectedCrash()
        yield expected
        path = actor if isinstance(actor, str) else actor.path
        expected.error = await self._crashes.expect(path, kind, before, timeout)

    # ------------------------------------------------------------------ probes

    @overload
    def probe(self, kind: type[A], /, *, name: str = ...) -> Probe[A]: ...
    @overload
    def probe(self, kind: type[A], other: type[B], /, *, name: str = ...) -> Probe[A | B]: ...
    @overload
    def probe(
        self, kind: type[A], other: type[B], third: type[C], /, *, name: str = ...
    ) -> Probe[A | B | C]: ...
    @overload
    def probe(
        self, kind: type[A], other: type[B], third: type[C], fourth: type[D], /, *, name: str = ...
    ) -> Probe[A | B | C | D]: ...
    def probe(self, *kinds: type, name: str = "probe") -> Probe[Any]:
        """Make a probe that takes these messages; the classes are for the type checker.

        More of them, or the alias of a union: `probe: Probe[Order] = Probe("probe")` does as well,
        but for the crashes that its `expect_down` tells of, and for questions left unanswered.
        """
        probe: Probe[Any] = Probe(self._free_name(name), claim=self._crashes.claim)
        self._probes.append(probe)
        return probe

    # ------------------------------------------------------------------ its own

    def _free_name(self, name: str) -> str:
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}-{self._names[name]}"

    async def _run(self) -> None:
        """Run the system in a task of its own: its end must not cancel the test's block.

        Whoever runs fixtures runs them and the test in one task, and would not outlive that.
        """
        try:
            async with self.system:
                self._settled.happen()
                await self._leaving.wait()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            self._failure = error
        finally:
            self._settled.happen()

    async def _stop(self, error: BaseException | None) -> None:
        self._leaving.happen()
        if isinstance(error, anyio.get_cancelled_exc_class()):
            await self._host.__aexit__(type(error), error, error.__traceback__)
        else:  # it would put any other error into a group
            await self._host.__aexit__(None, None, None)

    def _unanswered(self) -> list[str]:
        return [
            f"a question that {probe.ref.path} took and never answered: {question!r}"
            for probe in self._probes
            for question in probe.unanswered
        ]

    async def _left(self, unanswered: list[str]) -> list[BaseException]:
        leaks = [
            *unanswered,
            *(f"an actor that has not ended: {actor}" for actor in self._crashes.running),
            *(f"a timer that is to call {call!r}" for call in self.system.timers.calls),
            *await self._tasks.left(),
        ]
        return [Leaked(leaks)] if leaks else []

    def _crashed(self, besides: BaseException | None = None) -> list[BaseException]:
        """Give what ended the system, and the crashes that the test has not seen."""
        seen = _chain(besides)
        crashes = [each for each in self._crashes.unexpected() if each.error not in seen]
        return [
            *([self._failure] if self._failure is not None else []),
            *([UnexpectedCrash(crashes)] if crashes else []),
        ]

    def _raise(self, problems: list[BaseException]) -> None:
        """Raise the first of them; the others are its notes."""
        __tracebackhide__ = True
        for other in problems[1:]:
            problems[0].add_note(_as_text(other))
        if problems:
            raise problems[0]


def _chain(error: BaseException | None) -> list[BaseException]:
    """Give an error, and those that it came from."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _as_text(error: BaseException) -> str:
    """Tell of an error and what has caused it, as a traceback does."""
    return "".join(traceback.format_exception(error)).rstrip()
