"""What supervision should do: a small simulation of it, without tasks and with a clock of its own.

It says what the runtime promises a second time, in another way, so that a state machine can
compare the two. Where the promise is silent, OTP's `supervisor.erl` decides. Whatever lives is a
process: a generator that yields the condition for which it waits. `World` resumes processes and
moves the clock; `Worker` is one incarnation of an actor, `Supervision` one of a supervisor, and
`Pool` one of a dynamic supervisor.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar

T = TypeVar("T")
Condition: TypeAlias = Callable[[], bool]
Process: TypeAlias = Generator[Condition, None, T]
Reason: TypeAlias = Literal["normal", "shutdown", "crash", "killed"]
State: TypeAlias = Literal["starting", "running", "stopping", "waiting", "stopped"]
Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
Verb: TypeAlias = Literal["start", "restart", "terminate", "delete"]
Then: TypeAlias = Literal["", "crash", "quit"]


# ---------------------------------------------------------------------- what is configured


@dataclass(frozen=True)
class Backoff:
    """Delays of min·factor^n, and never more than max; no jitter here."""

    min: float
    max: float
    factor: float = 2.0
    reset_after: float = 60.0
    max_attempts: int | None = None


@dataclass(frozen=True)
class Spec:
    """One actor, and what its stop hook does."""

    name: str
    restart: Restart = "permanent"
    backoff: Backoff | None = None
    grace: float = 5.0
    start_timeout: float = 30.0
    hook_timeout: float = 5.0
    hook: float = 0.0
    hook_fails: bool = False
    queued: Literal["keep", "drop"] = "keep"


@dataclass(frozen=True)
class Branch:
    """One supervisor; itself always permanent."""

    name: str
    children: tuple[Spec | Branch | Crowd, ...] = ()
    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    period: float = 5.0
    restart: Restart = "permanent"
    backoff: Backoff | None = None


@dataclass(frozen=True)
class Crowd:
    """One dynamic supervisor; itself always permanent."""

    name: str
    child: Spec
    """What all its children are like, but for their names."""
    max_children: int | None = None
    max_restarts: int = 3
    period: float = 5.0
    budget: Literal["child", "pool"] = "child"
    restart: Restart = "permanent"
    backoff: Backoff | None = None


AnySpec: TypeAlias = Spec | Branch | Crowd


@dataclass(frozen=True)
class Init:
    """What one start of an actor does."""

    seconds: float = 0.0
    fails: bool = False


@dataclass(frozen=True)
class Work:
    """A message that takes a while, and what follows."""

    seconds: float = 0.0
    then: Then = ""


@dataclass(frozen=True)
class Note:
    """A message that is written down."""

    number: int


# ---------------------------------------------------------------------- time and processes


class Line(NamedTuple):
    """One thing that happened."""

    at: float
    who: str
    what: str


@dataclass(eq=False)
class Running:
    """A process, and what it waits for."""

    process: Process[None]
    rank: int
    condition: Condition = lambda: True


class World:
    """The clock, the processes, and the trace of all that happened."""

    def __init__(self) -> None:
        self.now = 0.0
        self.trace: list[Line] = []
        self.slots: dict[str, Slot] = {}
        self.plans: dict[str, list[Init]] = {}
        """What the next starts of the actors at these paths do."""
        self._running: list[Running] = []
        self._moments: list[float] = []

    def slot(self, path: str, spec: AnySpec) -> Slot:
        """Give the place at a path; it outlives all that happens to what is in it."""
        slot = self.slots.setdefault(path, Slot(self, path, spec))
        slot.spec = spec
        return slot

    def spawn(self, process: Process[None], rank: int = 1) -> Running:
        """Start a process; actors have the rank 0, and supervisors 1."""
        running = Running(process, rank)
        self._running.append(running)
        return running

    def postpone(self, running: Running) -> None:
        """Let all the others of its rank go on before it."""
        self._running.remove(running)
        self._running.append(running)

    def say(self, who: str, what: str) -> None:
        self.trace.append(Line(self.now, who, what))

    def in_seconds(self, delay: float) -> Condition:
        """Give the condition that so much time has passed from now on."""
        moment = self.now + delay
        heapq.heappush(self._moments, moment)
        return lambda: self.now >= moment

    def settle(self) -> None:
        """Let everybody go on until all wait; actors before supervisors."""
        while ready := [each for each in self._running if each.condition()]:
            first = min(ready, key=lambda each: each.rank)
            self.postpone(first)
            try:
                first.condition = next(first.process)
            except StopIteration:
                self._running.remove(first)

    def pass_time(self, seconds: float) -> None:
        """Move the clock from one moment at which something is due to the next."""
        end = self.now + seconds
        while self._moments and self._moments[0] <= end:
            self.now = max(self.now, heapq.heappop(self._moments))
            self.settle()
        self.now = end


# ---------------------------------------------------------------------- places and lives


class Life(ABC):
    """One incarnation, of an actor or of a supervisor."""

    def __init__(self, slot: Slot, ended: Callable[[Life], None]) -> None:
        self.slot = slot
        self.world = slot.world
        self.acknowledged = False
        self.acknowledged_at = 0.0
        self.dismissed = False
        """Whether its supervisor has asked it to stop."""
        self.restarts = False
        """Whether it follows another life of the same supervisor's child."""
        self.comes_back: Callable[[Reason], bool] = lambda _: False
        """Whether, as things stand, another life follows one that ends so."""
        self.over = False
        self.over_at = 0.0
        self.reason: Reason = "normal"
        self._ended = ended

    @abstractmethod
    def live(self) -> Process[None]: ...

    @property
    @abstractmethod
    def state(self) -> State: ...

    def stop(self) -> None:
        """Ask for an ordered end."""
        self.dismissed = True

    @property
    def ran(self) -> float:
        """How long it has been up, or was."""
        end = self.over_at if self.over else self.world.now
        return end - self.acknowledged_at if self.acknowledged else 0.0

    def say(self, what: str) -> None:
        self.world.say(f"{self.slot.path} {self.slot.incarnation}", what)

    def _ready(self) -> None:
        self.acknowledged, self.acknowledged_at = True, self.world.now
        self.say("ready")
        if self.restarts:
            self.say("restarted")

    def _end(self, reason: Reason) -> None:
        self.reason, self.over, self.over_at = reason, True, self.world.now
        self.say(f"exited: {reason}")
        self._ended(self)


class Slot:
    """One place in the tree: its mailbox, and the number of its lives."""

    def __init__(self, world: World, path: str, spec: AnySpec) -> None:
        self.world = world
        self.path = path
        self.spec = spec
        self.incarnation = 0
        self.mailbox: list[Work | Note] = []
        self.open = False
        self.life: Life | None = None
        self.owner: object = None
        """The life of the supervisor that has started it."""
        self._running: Running | None = None

    def begin(self, ended: Callable[[Life], None] = lambda _: None) -> Life:
        """Start a new life."""
        self.incarnation += 1
        self.open = True
        self.life = _LIVES[type(self.spec)](self, ended)
        rank = 0 if isinstance(self.spec, Spec) else 1
        self._running = self.world.spawn(self.life.live(), rank)
        return self.life

    def tell(self, message: Work | Note) -> bool:
        """Put a message into the mailbox, if it takes any; who is told first goes on first."""
        self.mailbox.append(message)
        if not self.open:
            self._lose(self.mailbox.pop())
        elif self._running is not None and self.life is not None and not self.life.over:
            self.world.postpone(self._running)
        return self.open

    def keep(self) -> None:
        """Take messages for the next life; what waits stays, if the policy says so."""
        self.open = True
        if isinstance(self.spec, Spec) and self.spec.queued == "drop":
            self._lose_all()

    def vacate(self) -> None:
        """Nobody follows: what waits is lost."""
        self.open = False
        self._lose_all()

    def _lose_all(self) -> None:
        while self.mailbox:
            self._lose(self.mailbox.pop(0))

    def _lose(self, message: Work | Note) -> None:
        if isinstance(message, Note):
            self.world.say(self.path, f"lost {message.number}")


class Worker(Life):
    """One incarnation of an actor."""

    def __init__(self, slot: Slot, ended: Callable[[Life], None]) -> None:
        super().__init__(slot, ended)
        assert isinstance(slot.spec, Spec)
        self.spec = slot.spec
        self.busy = False
        self._state: State = "starting"
        self._leaving: Reason | None = None
        self._grace_over: Condition = lambda: False

    @property
    def state(self) -> State:
        return "stopping" if self._leaving is not None else self._state

    @property
    def idle(self) -> bool:
        return self.state == "running" and not self.busy and not self.slot.mailbox

    def stop(self) -> None:
        if not self.dismissed:
            super().stop()
            self._grace_over = self.world.in_seconds(self.spec.grace)
            self._leave("shutdown")

    def _leave(self, reason: Reason) -> None:
        self._leaving = self._leaving or reason
        self.slot.open = self.comes_back(reason)

    def live(self) -> Process[None]:
        reason = yield from self._start()
        if self.acknowledged:
            reason = yield from self._work()
            reason = yield from self._wind_up(reason)
        self._end(reason)

    def _start(self) -> Process[Reason]:
        self.say("starting")
        plan = self.world.plans.get(self.slot.path)
        init = plan.pop(0) if plan else Init()
        ready = self.world.in_seconds(init.seconds)
        late = self.world.in_seconds(self.spec.start_timeout)
        yield lambda: ready() or late() or self.dismissed
        if not ready():
            self.say("start cancelled")
            return "shutdown" if self.dismissed else "crash"
        if init.fails:
            self.say("start failed")
            return "crash"
        self.say("started")
        self._ready()
        self._state = "running"
        return "normal"

    def _work(self) -> Process[Reason]:
        """Handle one message after another until the end, and give its reason."""
        while True:
            yield lambda: bool(self.slot.mailbox) or self._leaving is not None
            if self._leaving is not None:
                return self._leaving
            reason = yield from self._handle(self.slot.mailbox.pop(0))
            if reason is not None:
                return reason

    def _handle(self, message: Work | Note) -> Process[Reason | None]:
        if isinstance(message, Note):
            self.say(f"noted {message.number}")
            return None
        done, self.busy = self.world.in_seconds(message.seconds), True
        yield lambda: done() or self._grace_over()
        self.busy = False
        if not done():
            self.say("work cancelled")
            return "killed"
        if message.then == "quit":
            self._leave("normal")
        return "crash" if message.then == "crash" else None

    def _wind_up(self, reason: Reason) -> Process[Reason]:
        """Run the stop hook, within its deadline."""
        self._state = "stopping"
        self.slot.open = self.comes_back(reason)
        self.say(f"stopping: {reason}")
        done = self.world.in_seconds(self.spec.hook)
        late = self.world.in_seconds(self.spec.hook_timeout)
        yield lambda: done() or late()
        if not done():
            self.say("hook cancelled")
            return "killed"
        self.say("stopped")
        return "crash" if self.spec.hook_fails else reason


# ---------------------------------------------------------------------- supervisors


class Interrupted(Exception):
    """A stop was asked for while the supervisor waited for something."""


class GivenUp(Exception):
    """A child has failed too often."""


class Refused(Exception):
    """An order cannot be carried out; the name of the error is its argument."""


@dataclass(eq=False)
class Call:
    """An order to a supervisor, and what came of it."""

    world: World
    name: str
    outcome: str | None = None

    def settle(self, outcome: str) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self.world.say(self.name, outcome)


@dataclass(eq=False)
class Member:
    """A child, as its supervisor sees it."""

    slot: Slot
    life: Life | None = None
    """Its life, until the supervisor has noticed its end."""
    waiting: object = None
    """What stands for the restart that it waits for; another one makes it void."""
    held: bool = False
    """Whether it is down for a restart, its own or that of its group, which is still to come."""
    attempts: int = 0
    restarted_at: list[float] = field(default_factory=list[float])
    """The log of a budget of its own."""
    ran: float = 0.0

    @property
    def spec(self) -> AnySpec:
        return self.slot.spec

    @property
    def stands(self) -> bool:
        """Whether it has a life that is not over."""
        return self.life is not None and not self.life.over

    @property
    def comes_back(self) -> bool:
        """Whether it has ended, and a restart of its own is to come."""
        return self.waiting is not None or (self.life is not None and self.life.over)

    @property
    def state(self) -> State:
        if self.life is not None and not self.life.over:
            return self.life.state
        return "waiting" if self.comes_back or self.held else "stopped"

    def attempts_after(self, backoff: Backoff, ran: float) -> int:
        """Give what a life of so many seconds leaves of the attempts."""
        return 0 if ran >= backoff.reset_after else self.attempts

    def next_delay(self, backoff: Backoff) -> float | None:
        """Count one more attempt and give its delay, or None where there may be none."""
        self.attempts = self.attempts_after(backoff, self.ran)
        if exhausted(backoff, self.attempts):
            return None
        delay = min(backoff.max, backoff.min * backoff.factor**self.attempts)
        self.attempts += 1
        return delay


def wants_restart(restart: Restart, reason: Reason) -> bool:
    return restart == "permanent" or (restart == "transient" and reason in ("crash", "killed"))


def exhausted(backoff: Backoff, attempts: int) -> bool:
    return backoff.max_attempts is not None and attempts >= backoff.max_attempts


def charged(log: list[float], now: float, limit: Branch | Crowd) -> list[float]:
    """Give a log with one more restart in it."""
    return [moment for moment in log if moment >= now - limit.period] + [now]


class Supervision(Life):
    """One incarnation of a supervisor: a serial loop over exits, orders and retries."""

    def __init__(self, slot: Slot, ended: Callable[[Life], None]) -> None:
        super().__init__(slot, ended)
        assert isinstance(slot.spec, Branch)
        self.spec = slot.spec
        self.members = [self._member(each) for each in slot.spec.children]
        self.charged: list[float] = []
        self._queue: deque[Callable[[], Process[None]]] = deque()
        self._calls: list[Call] = []
        self._closing = False

    @property
    def state(self) -> State:
        if self._closing or self.dismissed:
            return "stopping"
        return "running" if self.acknowledged else "starting"

    def live(self) -> Process[None]:
        reason = yield from self._supervise()
        self._closing = True
        for call in self._calls:
            call.settle("ActorStopped")
        for member in reversed(self.members.copy()):
            yield from self._stop(member)
            member.slot.vacate()
        self._end(reason)

    def _supervise(self) -> Process[Reason]:
        try:
            for member in self.members:
                if not (yield from self._start(member)):
                    return "crash"
            self._ready()
            while True:
                yield from self._until(lambda: bool(self._queue))
                yield from self._queue.popleft()()
        except Interrupted:
            return "shutdown"
        except GivenUp:
            return "crash"

    def _until(self, condition: Condition) -> Process[None]:
        """Wait; but a stop interrupts whatever this supervisor waits for."""
        yield lambda: condition() or (self.dismissed and not self._closing)
        if self.dismissed and not self._closing:
            raise Interrupted

    # ------------------------------------------------------------------ one child

    def _member(self, spec: AnySpec) -> Member:
        return Member(self.world.slot(f"{self.slot.path}/{spec.name}", spec))

    def _start(self, member: Member, *, restarts: bool = False) -> Process[bool]:
        member.waiting, member.held, member.slot.owner = None, False, self
        member.life = life = member.slot.begin(partial(self._child_ended, member))
        life.comes_back, life.restarts = partial(self._comes_back, member), restarts
        yield from self._until(lambda: life.acknowledged or life.over)
        if life.acknowledged:
            return True
        member.life, member.ran = None, 0.0
        return False

    def _comes_back(self, member: Member, reason: Reason) -> bool:
        return not self._closing and wants_restart(member.spec.restart, reason)

    def _stop(self, member: Member, *, comes_back: bool = False) -> Process[None]:
        """Stop a child, whatever it does; its end needs no notice any more."""
        member.waiting = None
        if (life := member.life) is not None:
            life.comes_back = lambda _: comes_back
            life.stop()
            yield from self._until(lambda: life.over)
            member.life = None

    def _forget(self, member: Member) -> None:
        if member in self.members:
            self.members.remove(member)
            member.slot.vacate()
            if member.spec not in self.spec.children:  # nobody ever starts it again
                self.world.slots.pop(member.slot.path, None)

    # ------------------------------------------------------------------ exits and restarts

    def _child_ended(self, member: Member, life: Life) -> None:
        comes_back = life.comes_back(life.reason)
        if comes_back:
            member.slot.keep()
        else:
            member.slot.vacate()
        if not life.acknowledged or life.dismissed or self._closing:
            return  # who waits for it sees it
        if comes_back:
            self._queue.append(partial(self._exited, member, life))
        elif member.spec.restart == "temporary":
            self._forget(member)
        else:
            member.life = None

    def _exited(self, member: Member, life: Life) -> Process[None]:
        if member.life is life:  # else a restart of the group, or an order, came first
            member.life, member.ran = None, life.ran
            yield from self._restart(member)

    def _restart(self, member: Member) -> Process[None]:
        backoff = member.spec.backoff
        if backoff is None:
            self.charged = charged(self.charged, self.world.now, self.spec)
            if len(self.charged) > self.spec.max_restarts:
                self._give_up(member, self.spec.max_restarts)
            yield from self._restart_group(member)
            return
        delay = member.next_delay(backoff)
        if delay is None:
            self._give_up(member, member.attempts)
            return
        member.waiting = token = object()
        self.world.spawn(self._wait(member, token, delay))
        yield from self._stop_others(member)

    def _give_up(self, member: Member, restarts: int) -> None:
        self.world.say(member.slot.path, f"gave up: {restarts}")
        raise GivenUp

    def _wait(self, member: Member, token: object, delay: float) -> Process[None]:
        over = self.world.in_seconds(delay)
        yield lambda: over() or member.waiting is not token
        if member.waiting is token:
            self._queue.append(partial(self._waited, member, token))

    def _waited(self, member: Member, token: object) -> Process[None]:
        if member.waiting is token:
            yield from self._restart_group(member)

    def _retry(self, member: Member, token: object) -> Process[None]:
        if member.waiting is token:
            yield from self._restart(member)

    def _restart_group(self, member: Member) -> Process[None]:
        member.waiting, member.held = None, True
        yield from self._stop_others(member)
        for each in self._group(member):
            if not (yield from self._start(each, restarts=True)):
                each.waiting = token = object()
                self._queue.append(partial(self._retry, each, token))
                return

    def _stop_others(self, member: Member) -> Process[None]:
        for each in reversed(self._group(member)):
            if each is not member and (each.life is not None or each.waiting is not None):
                comes_back = each.spec.restart != "temporary"
                yield from self._stop(each, comes_back=comes_back)
                if comes_back:
                    each.held = True
                else:
                    self._forget(each)

    def _group(self, member: Member) -> list[Member]:
        index = self.members.index(member)
        match self.spec.strategy:
            case "one_for_one":
                return [member]
            case "rest_for_one":
                return self.members[index:]
            case "one_for_all":
                return self.members.copy()

    # ------------------------------------------------------------------ orders

    def order(self, verb: Verb, spec: AnySpec, name: str) -> Call:
        """Take an order; it is carried out in its turn."""
        call = Call(self.world, name)
        slot = self.world.slots.get(f"{self.slot.path}/{spec.name}")
        if verb != "start" and slot is None:
            call.settle("NotFound")
        elif self._closing or self.dismissed or self.over:
            call.settle("ActorStopped")
        elif verb != "start" and slot is not None and slot.owner is not self:
            call.settle("ActorStopped")  # it was a child of an incarnation before this one
        else:
            self._calls.append(call)
            self._queue.append(partial(self._obey, verb, spec, slot, call))
        return call

    def _obey(self, verb: Verb, spec: AnySpec, slot: Slot | None, call: Call) -> Process[None]:
        try:
            match verb:
                case "start":
                    yield from self._order_start(spec)
                case "restart":
                    yield from self._order_restart(self._member_at(slot))
                case "terminate":
                    yield from self._order_terminate(self._member_at(slot))
                case "delete":
                    yield from self._order_delete(self._member_at(slot))
            call.settle("ok")
        except Refused as refused:
            call.settle(str(refused))
        self._calls.remove(call)

    def _member_at(self, slot: Slot | None) -> Member:
        for member in self.members:
            if member.slot is slot:
                return member
        raise Refused("NotFound")

    def _order_start(self, spec: AnySpec) -> Process[None]:
        if any(member.spec.name == spec.name for member in self.members):
            raise Refused("ChildStands")
        self.world.slots.pop(f"{self.slot.path}/{spec.name}", None)  # if it was there, long ago
        self.members.append(member := self._member(spec))
        if not (yield from self._start(member)):
            self._forget(member)  # OTP keeps no spec whose first start failed
            self.world.slots.pop(member.slot.path, None)
            raise Refused("StartFailed")

    def _order_restart(self, member: Member) -> Process[None]:
        if member.stands:
            raise Refused("ChildStands")
        if member.comes_back:
            member.life = None
            yield from self._restart_group(member)
            if member.state == "waiting":
                raise Refused("StartFailed")
        elif not (yield from self._start(member, restarts=True)):
            member.slot.vacate()
            raise Refused("StartFailed")

    def _order_terminate(self, member: Member) -> Process[None]:
        self._release_held(member)
        yield from self._stop(member)
        member.held = False
        member.slot.vacate()
        if member.spec.restart == "temporary":
            self._forget(member)

    def _order_delete(self, member: Member) -> Process[None]:
        if member.stands:
            raise Refused("ChildStands")
        self._release_held(member)
        member.waiting = member.life = None
        self._forget(member)
        self.world.slots.pop(member.slot.path, None)  # should it come back, it is somebody else
        yield from ()

    def _release_held(self, member: Member) -> None:
        """Let those stay down that were to start again with one that now does not."""
        for each in self._group(member) if member.comes_back else []:
            if each.held and each.waiting is None:
                each.held = False
                each.slot.vacate()


class Pool(Life):
    """One incarnation of a dynamic supervisor, which waits for none of its children."""

    def __init__(self, slot: Slot, ended: Callable[[Life], None]) -> None:
        super().__init__(slot, ended)
        assert isinstance(slot.spec, Crowd)
        self.spec = slot.spec
        self.members: list[Member] = []
        self.charged: list[float] = []
        self._failed = False

    @property
    def state(self) -> State:
        return "stopping" if self._failed or self.dismissed else "running"

    def live(self) -> Process[None]:
        self._ready()
        yield lambda: self.dismissed or self._failed
        for member in self.members.copy():
            if member.life is None:
                self._forget(member)
            else:
                member.life.stop()
        yield lambda: not self.members
        self._end("crash" if self._failed else "shutdown")

    def start(self, spec: Spec, name: str) -> Call:
        """Start one more child at once, beside all that happens."""
        call = Call(self.world, name)
        if self.state == "stopping":
            call.settle("ActorStopped")
        elif len(self.members) == self.spec.max_children:
            call.settle("StartFailed")
        else:
            member = Member(self.world.slot(f"{self.slot.path}/{spec.name}", spec))
            self.members.append(member)
            life = self._begin(member)
            self.world.spawn(self._answer(life, call))
        return call

    def terminate(self, path: str, name: str) -> Call:
        """Stop a child at once, beside all that happens."""
        call = Call(self.world, name)
        found = [member for member in self.members if member.slot.path == path]
        if not found:
            call.settle("NotFound")
        for member in found:
            self.world.spawn(self._terminate(member, call))
        return call

    def _answer(self, life: Life, call: Call) -> Process[None]:
        yield lambda: life.acknowledged or life.over
        call.settle("ok" if life.acknowledged else "StartFailed")

    def _terminate(self, member: Member, call: Call) -> Process[None]:
        if member.life is None:
            self._forget(member)
        else:
            member.life.stop()
        yield lambda: member not in self.members
        call.settle("ok")

    def _begin(self, member: Member) -> Life:
        member.waiting = None
        member.life = life = member.slot.begin(partial(self._child_ended, member))
        life.restarts = life.slot.incarnation > 1
        life.comes_back = lambda reason: (
            self.state != "stopping"
            and not life.dismissed
            and (life.acknowledged or life.restarts)
            and wants_restart(member.spec.restart, reason)
            and self._allowed(member, life)
        )
        return life

    def _allowed(self, member: Member, life: Life) -> bool:
        """Tell whether one more restart, now, is within the budget."""
        backoff = member.spec.backoff
        if backoff is not None:
            return not exhausted(backoff, member.attempts_after(backoff, life.ran))
        return len(self._charged(member)) <= self.spec.max_restarts

    def _charged(self, member: Member) -> list[float]:
        log = member.restarted_at if self.spec.budget == "child" else self.charged
        return charged(log, self.world.now, self.spec)

    def _child_ended(self, member: Member, life: Life) -> None:
        told = (
            life.dismissed or self.state == "stopping" or not (life.acknowledged or life.restarts)
        )
        member.life, member.ran = None, life.ran
        if life.comes_back(life.reason):
            member.slot.keep()
            self._bring_back(member)
            return
        self._forget(member)
        if not told and wants_restart(member.spec.restart, life.reason):
            restarts = self.spec.max_restarts if member.spec.backoff is None else member.attempts
            self.world.say(member.slot.path, f"gave up: {restarts}")
            self._failed = self.spec.budget == "pool"

    def _bring_back(self, member: Member) -> None:
        backoff = member.spec.backoff
        if backoff is None:
            member.restarted_at = self._charged(member)
            self.charged = charged(self.charged, self.world.now, self.spec)
            self._begin(member)
            return
        delay = member.next_delay(backoff)
        assert delay is not None
        member.waiting = token = object()
        self.world.spawn(self._wait(member, token, delay))

    def _wait(self, member: Member, token: object, delay: float) -> Process[None]:
        over = self.world.in_seconds(delay)
        yield lambda: over() or member.waiting is not token
        if member.waiting is token:
            self._begin(member)

    def _forget(self, member: Member) -> None:
        member.waiting = None
        self.members.remove(member)
        member.slot.vacate()


class _Lives(Protocol):
    def __call__(self, slot: Slot, ended: Callable[[Life], None]) -> Life: ...


_LIVES: dict[type, _Lives] = {Spec: Worker, Branch: Supervision, Crowd: Pool}


# ---------------------------------------------------------------------- the whole


class Model:
    """A whole system: a root, and all that is under it."""

    def __init__(self, root: Branch) -> None:
        self.world = World()
        self.root = self.world.slot(root.name, root).begin()
        self._calls = 0

    @property
    def outcome(self) -> Literal["", "stopped", "StartFailed", "RestartLimitReached"]:
        """How it ended; empty while it has not."""
        if not self.root.over:
            return ""
        if self.root.reason != "crash":
            return "stopped"
        return "RestartLimitReached" if self.root.acknowledged else "StartFailed"

    def tell(self, path: str, message: Work | Note) -> bool:
        """Tell an actor something, and give whether it takes it."""
        if path in self.world.slots:
            return self.world.slots[path].tell(message)
        if isinstance(message, Note):
            self.world.say(path, f"lost {message.number}")
        return False

    def supervision(self, path: str) -> Supervision:
        """Give the present life of the supervisor at a path."""
        life = self.world.slots[path].life
        assert isinstance(life, Supervision)
        return life

    def pool(self, path: str) -> Pool:
        """Give the present life of the dynamic supervisor at a path."""
        life = self.world.slots[path].life
        assert isinstance(life, Pool)
        return life

    def worker(self, path: str) -> Worker | None:
        """Give the present life of the actor at a path, if there is one."""
        slot = self.world.slots.get(path)
        life = slot.life if slot is not None else None
        return life if isinstance(life, Worker) and not life.over else None
