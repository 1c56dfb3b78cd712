"""Probes: the test takes an actor's place, and says what it expects to be told."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, Never, TypeAlias, TypeVar, cast

import anyio

from herdwick.runtime import (
    NOPROC,
    SHUTDOWN,
    ActorStopped,
    Answer,
    Ask,
    Askable,
    Down,
    Exit,
    Monitor,
    NotHandled,
    Question,
    Ref,
    Reply,
    Waiters,
    watch,
)

from .clock import settle

M = TypeVar("M")
K = TypeVar("K")
Q = TypeVar("Q")
R = TypeVar("R")

ExitKind: TypeAlias = Literal["normal", "shutdown", "crash", "killed", "noproc"]


class Unmet(AssertionError):
    """What a probe expected has not come; something else has, or nothing."""

    def __init__(self, probe: str, wanted: str, got: str) -> None:
        super().__init__(f"{probe} expected {wanted}; {got}")
        self.probe = probe


@dataclass(frozen=True, slots=True)
class Asked(Generic[Q, R]):
    """A question to a probe, that waits for the test's answer."""

    message: Q
    reply: Reply[R]
    """Answers it: `question.reply(5)`, or `question.reply.reject("no")`."""


class Probe(Generic[M]):
    """An address that the test itself holds the other end of (Akka: TestProbe).

    Its `ref` is handed to the actors under test. What they tell it comes out in its order, one
    message per `expect` or `receive`. What they ask it waits for `expect_ask`. A `Down` of what it
    monitors stands beside the messages, so that `expect_down` finds it in any order; `received`
    has all of them in the order in which they came.

    Each `expect…` waits for `timeout` seconds, which a virtual clock jumps over, and raises
    `Unmet`, an `AssertionError`, that says what came instead. What came is then still there.
    """

    def __init__(self, name: str = "probe", *, claim: Callable[[Down], None] | None = None) -> None:
        """Make a probe; `claim` is called with each `Down` that the test expected."""
        self._inlet = _ProbeInlet(name)
        self._claim = claim
        self._asked: list[Asked[object, object]] = []
        self.ref: Ref[M] = Ref(self._inlet)
        """Its address."""

    @property
    def received(self) -> tuple[object, ...]:
        """All that has come so far, messages, questions and `Down`s."""
        return tuple(self._inlet.received)

    @property
    def unanswered(self) -> tuple[object, ...]:
        """The questions that the test has taken and not answered, though the asker waits."""
        return tuple(asked.message for asked in self._asked if asked.reply.wanted)

    async def receive(self, *, timeout: float = 1.0) -> M:
        """Take the next message, whatever it is.

        Raises:
            Unmet: Nothing came, or a question that must be answered: use `expect_ask`.
        """
        __tracebackhide__ = True
        return cast(M, self._take(await self._next("a message", timeout), "a message"))

    async def expect(self, kind: type[K], /, *, timeout: float = 1.0) -> K:
        """Take the next message, which must be of this class.

        Raises:
            Unmet: Nothing came, or something else.
        """
        __tracebackhide__ = True
        wanted = kind.__name__
        item = await self._next(wanted, timeout)
        if not isinstance(_message(item), kind):
            raise self._other(wanted)
        return cast(K, self._take(item, wanted))

    async def expect_message(self, message: K, /, *, timeout: float = 1.0) -> K:
        """Take the next message, which must be equal to this one.

        Raises:
            Unmet: Nothing came, or something else.
        """
        __tracebackhide__ = True
        item = await self._next(repr(message), timeout)
        if _message(item) != message:
            raise self._other(repr(message))
        return cast(K, self._take(item, repr(message)))

    async def expect_ask(
        self, kind: type[Askable[Q, R]], /, *, timeout: float = 1.0
    ) -> Asked[Q, R]:
        """Take the next message, which must be a question of this class, to answer it.

        Raises:
            Unmet: Nothing came, or something else; told, and not asked, it is something else.
        """
        __tracebackhide__ = True
        wanted = f"to be asked {kind.__name__}"
        item = await self._next(wanted, timeout)
        if not isinstance(item, Question) or not isinstance(_message(item), kind):
            raise self._other(wanted)
        self._inlet.queue.popleft()
        item.answer.begun = True
        asked = Asked(cast(Q, item.message), Reply(cast("Answer[R]", item.answer)))
        self._asked.append(cast("Asked[object, object]", asked))
        return asked

    async def expect_nothing(self, *, during: float = 0.0) -> None:
        """Make sure that nothing waits here, and that nothing comes in the next seconds.

        By default it looks when all others wait, without letting time pass (`settle`).

        Raises:
            Unmet: Something came.
        """
        __tracebackhide__ = True
        await settle()
        with anyio.move_on_after(during):
            while not self._inlet.waiting and during > 0:
                await self._inlet.arrived.wait()
        await settle()
        if self._inlet.waiting:
            raise self._unmet("nothing", f"there came {_texts(self._inlet.waiting)}")

    def monitor(self, ref: Ref[Never], /) -> Monitor:
        """Watch the incarnation that lives at `ref` now; `expect_down` tells of its end."""
        self._inlet.monitored.append(ref)
        return watch(ref, self._inlet.down)

    async def expect_down(
        self, ref: Ref[Never], kind: ExitKind | None = None, /, *, timeout: float = 1.0
    ) -> Down:
        """Wait for the end of an actor that this probe monitors, and take it.

        A crash that it tells of is one that the test has asked for.

        Raises:
            Unmet: It lives on, or has ended in another way than `kind`.
            ValueError: The probe does not monitor it.
        """
        __tracebackhide__ = True
        if ref not in self._inlet.monitored:
            raise ValueError(
                f"{self.ref.path} does not monitor {ref.path}; call `probe.monitor(ref)` first"
            )
        wanted = f"the end of {ref.path}" + (f" by {kind}" if kind else "")
        with anyio.move_on_after(timeout):
            while self._inlet.find_down(ref) is None:
                await self._inlet.arrived.wait()
        down = self._inlet.find_down(ref)
        if down is None:
            raise self._unmet(wanted, f"it lives on after {timeout:g} s")
        if kind is not None and down.reason.kind != kind:
            raise self._unmet(wanted, f"it ended by {down.reason}")
        self._inlet.downs.remove(down)
        if self._claim is not None:
            self._claim(down)
        return down

    def end(self, reason: Exit = SHUTDOWN) -> None:
        """Be dead from now on: monitors are told, and what is said to it is refused."""
        self._inlet.end(reason)

    def __repr__(self) -> str:
        return f"<Probe {self.ref.path}>"

    async def _next(self, wanted: str, timeout: float) -> object:
        """Wait for the next entry, and leave it where it is."""
        __tracebackhide__ = True
        with anyio.move_on_after(timeout):
            while self._inlet.first is None:
                await self._inlet.arrived.wait()
        if self._inlet.first is None:
            raise self._unmet(wanted, f"nothing came within {timeout:g} s")
        return self._inlet.first

    def _take(self, item: object, wanted: str) -> object:
        """Remove the first entry; a plain message that was asked is answered by that."""
        __tracebackhide__ = True
        message = _message(item)
        if isinstance(item, Question):
            if isinstance(message, Ask):
                name = type(item.message).__name__
                raise self._other(wanted, f"; use `expect_ask({name})` to answer it")
            item.answer.give(None)
        self._inlet.queue.popleft()
        return message

    def _other(self, wanted: str, advice: str = "") -> Unmet:
        first, *others = self._inlet.waiting
        behind = f", and behind it {_texts(others)}" if others else ""
        return self._unmet(wanted, f"there came {_text(first)}{behind}{advice}")

    def _unmet(self, wanted: str, got: str) -> Unmet:
        return Unmet(self.ref.path, wanted, got)


def _message(item: object) -> object:
    return item.message if isinstance(item, Question) else item


def _text(item: object) -> str:
    return f"the question {item.message!r}" if isinstance(item, Question) else repr(item)


def _texts(items: Iterable[object]) -> str:
    return ", ".join(map(_text, items))


class _ProbeInlet:
    """What refs to a probe deliver to."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.queue: deque[object] = deque()
        self.downs: list[Down] = []
        self.received: list[object] = []
        self.monitored: list[Ref[Never]] = []
        self.arrived = Waiters()
        self._ended = False
        self._watched: dict[Monitor, None] = {}

    @property
    def asking(self) -> None:
        return None

    @property
    def slot(self) -> None:
        return None

    @property
    def timers(self) -> None:
        return None

    def put_nowait(self, item: object) -> None:
        if self._ended:
            raise ActorStopped(self.path)
        self.queue.append(item)
        self._came(_message(item))

    async def put(self, item: object) -> None:
        self.put_nowait(item)

    def refused(self, message: object, error: NotHandled) -> None:
        self.received.append(message)

    def watch(self, monitor: Monitor) -> None:
        if self._ended:
            monitor.fire(NOPROC)
        else:
            monitor.watched = self._watched
            self._watched[monitor] = None

    def end(self, reason: Exit) -> None:
        self._ended = True
        for monitor in list(self._watched):
            monitor.fire(reason)

    def down(self, down: Down) -> None:
        self.downs.append(down)
        self._came(down)

    def find_down(self, ref: Ref[Never]) -> Down | None:
        return next((down for down in self.downs if down.ref == ref), None)

    @property
    def first(self) -> object:
        """The next entry; a question that nobody waits for any more is none."""
        while self.queue and isinstance(item := self.queue[0], Question) and not item.answer.wanted:
            self.queue.popleft()
        return self.queue[0] if self.queue else None

    @property
    def waiting(self) -> list[object]:
        """What has come and not been taken, the next first."""
        _ = self.first
        return [*self.queue, *self.downs]

    def _came(self, message: object) -> None:
        self.received.append(message)
        self.arrived.wake_all()
