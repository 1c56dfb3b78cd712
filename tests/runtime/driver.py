"""A real system that goes on only when told to, step by step, as the model of it does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
import trio

from herdwick.runtime import (
    Actor,
    ActorStopped,
    Backoff,
    Child,
    ChildStands,
    DeadLetter,
    Dynamic,
    Event,
    Events,
    Exit,
    Exited,
    GaveUp,
    Message,
    NotFound,
    Ref,
    Restarted,
    RestartLimitReached,
    Started,
    StartFailed,
    Supervisor,
    System,
    on,
)
from herdwick.testing import settle, virtual_backend
from tests.runtime import model
from tests.runtime.model import Line

T = TypeVar("T")
Step: TypeAlias = Callable[[], Awaitable[None]]
Way: TypeAlias = Literal["end", "cancel", "cancel natively"]


REFUSALS: Final = (ActorStopped, ChildStands, NotFound, StartFailed)
"""Why an order is not carried out."""


class Work(Message):
    """Work so many seconds; then crash, quit, or go on."""

    seconds: float
    then: model.Then


class Note(Message):
    """Write this down."""

    number: int


class Script:
    """What a puppet does at its starts and stops, and where it tells of it."""

    def __init__(self, label: str, spec: model.Spec, driver: Driver) -> None:
        self.label = label
        self.spec = spec
        self.driver = driver
        self.inits: list[model.Init] = []


class Puppet(Actor[Work | Note]):
    """Does what it is told, and tells of it."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def on_start(self) -> None:
        self._script.driver.labels[self.ctx.ref.path] = self._script.label
        self._say("starting")
        init = self._script.inits.pop(0) if self._script.inits else model.Init()
        await self._spend(init.seconds, "start cancelled")
        self._say("start failed" if init.fails else "started")
        if init.fails:
            raise OSError("as planned")

    async def on_stop(self, reason: Exit) -> None:
        self._say(f"stopping: {reason.kind}")
        await self._spend(self._script.spec.hook, "hook cancelled")
        self._say("stopped")
        if self._script.spec.hook_fails:
            raise OSError("as planned")

    @on(Work)
    async def work(self, message: Work) -> None:
        await self._spend(message.seconds, "work cancelled")
        if message.then == "crash":
            raise ValueError("as told")
        if message.then == "quit":
            self.ctx.stop()

    @on(Note)
    async def note(self, message: Note) -> None:
        self._say(f"noted {message.number}")

    async def _spend(self, seconds: float, if_cancelled: str) -> None:
        try:
            if seconds:
                await anyio.sleep(seconds)
        except anyio.get_cancelled_exc_class():
            self._say(if_cancelled)
            raise

    def _say(self, what: str) -> None:
        self._script.driver.say(f"{self._script.label} {self.ctx.incarnation}", what)


class Info(NamedTuple):
    """What is to be seen of one child."""

    name: str
    state: str
    incarnation: int


class Driver:
    """A system in a thread of its own.

    Between two steps its whole loop is held, so that neither it nor its clock goes on. After
    each step, when all that follows from it at once is done, `pause` seconds pass.
    """

    def __init__(self, backend: str, root: model.Branch, pause: float) -> None:
        self.trace: list[Line] = []
        self.labels: dict[str, str] = {}
        """Under which name the trace knows what is at a path."""
        self.outcome = ""
        """How the system ended; empty while it has not."""
        self._pause = pause
        self._told: dict[int, str] = {}
        """To whom notes were told."""
        self._specs = _Specs(self)
        self._root = self._specs.supervisor(root.name, root)
        self._steps: SimpleQueue[Step | None] = SimpleQueue()
        self._left_behind: Future[int] = Future()
        name, options = virtual_backend(backend)
        run = partial(anyio.run, self._main, backend=name, backend_options=options)
        threading.Thread(target=run, daemon=True).start()
        self._do(anyio.lowlevel.checkpoint)

    # ------------------------------------------------------------------ steps

    def plan(self, path: str, inits: list[model.Init]) -> None:
        """Say what the next starts of an actor do."""
        self._specs.scripts[path].inits[:] = inits

    def knows(self, path: str) -> bool:
        """Tell whether there was ever an actor at a path."""
        return path in self._specs.children or path in self._refs

    def tell(self, path: str, message: model.Work | model.Note) -> bool:
        """Tell an actor something, and give whether the message was taken."""
        [taken] = self.tell_at_once((path, message))
        return taken

    def tell_at_once(self, *messages: tuple[str, model.Work | model.Note]) -> list[bool]:
        """Tell actors something in one breath, and give whether each message was taken."""

        async def tell() -> list[bool]:
            return [self._tell(path, _message(message)) for path, message in messages]

        return self._do(tell)

    def pass_time(self, seconds: float) -> None:
        """Let the clock go on; and then the pause."""
        self._do(partial(anyio.sleep, seconds))

    def leave(self, way: Way) -> None:
        """Make the block of the system end, or cancel it."""

        async def leave() -> None:
            if way == "end":
                self._leaving.set()
            elif way == "cancel":
                self._scope.cancel()
            else:
                self._host.cancel()

        self._do(leave)

    def order(self, verb: model.Verb, branch: str, spec: model.Spec, name: str) -> None:
        """Give an order; what comes of it is told in its name."""
        child = self._specs.child(f"{branch}/{spec.name}", spec)
        supervisor = self._specs.branches[branch]
        run: dict[model.Verb, Callable[[], Awaitable[object]]] = {
            "start": lambda: self._system.start_child(supervisor, child),
            "restart": lambda: self._system.restart_child(child),
            "terminate": lambda: self._system.terminate_child(child),
            "delete": lambda: self._system.delete_child(child),
        }
        self._in_background(name, run[verb])

    def start(self, crowd: str, spec: model.Spec, plan: list[model.Init], name: str) -> None:
        """Start one more child of a dynamic supervisor; its name stands in the trace."""
        dynamic, script = self._specs.crowds[crowd], Script(f"{crowd}/{spec.name}", spec, self)
        script.inits[:] = plan

        async def start() -> None:
            self._refs[script.label] = await self._system.start(dynamic, script)

        self._in_background(name, start)

    def terminate(self, path: str, name: str) -> None:
        """Stop a child of a dynamic supervisor."""
        self._in_background(name, lambda: self._system.terminate_child(self._ref(path)))

    def infos(self, path: str) -> list[Info]:
        """Give what is to be seen of the children of a supervisor."""
        supervisor = self._specs.branches.get(path) or self._specs.crowds[path]

        async def infos() -> list[Info]:
            infos = self._system.which_children(supervisor)
            return [
                Info(self.labels.get(info.path, info.path), info.state, info.incarnation)
                for info in infos
            ]

        return self._do(infos, pause=0.0)

    def close(self) -> int:
        """End the thread, and give how many tasks the system left behind."""
        self._steps.put(None)
        return self._left_behind.result(60)

    def say(self, who: str, what: str) -> None:
        """Put one more line into the trace."""
        self.trace.append(Line(anyio.current_time(), who, what))

    # ------------------------------------------------------------------ in the thread

    def _do(self, run: Callable[[], Awaitable[T]], pause: float | None = None) -> T:
        """Run something in the system's loop, until all that follows from it is done."""
        result: Future[T] = Future()
        pause = self._pause if pause is None else pause

        async def step() -> None:
            try:
                value = await run()
                await settle()
                if pause:
                    await anyio.sleep(pause)
                    await settle()
            except Exception as error:
                result.set_exception(error)
            else:
                result.set_result(value)

        self._steps.put(step)
        return result.result(60)

    async def _main(self) -> None:
        self._refs: dict[str, Ref[Work | Note]] = {}
        self._leaving, self._scope = anyio.Event(), anyio.CancelScope()
        async with anyio.create_task_group() as self._tasks:
            before = _tasks()
            self._tasks.start_soon(self._run)
            while (step := self._steps.get()) is not None:
                await step()
            self._left_behind.set_result(_tasks() - before)
            self._tasks.cancel_scope.cancel()

    async def _run(self) -> None:
        if not trio.lowlevel.in_trio_task():
            host = asyncio.current_task()
            assert host is not None
            self._host = host
        events = Events()
        events.subscribe(self._note)
        try:
            with self._scope:
                self._system = System(
                    self._root, stop_timeout=10_000, events=events, random=lambda: 0.0
                )
                async with self._system:
                    await self._leaving.wait()
        except (StartFailed, RestartLimitReached) as error:
            self.outcome = type(error).__name__
        except asyncio.CancelledError:  # natively: nobody else is to hear of it
            self.outcome = "stopped"
        except Exception as error:
            self.outcome = repr(error)
        else:
            self.outcome = "stopped"

    def _in_background(self, name: str, run: Callable[[], Awaitable[object]]) -> None:
        async def call() -> None:
            try:
                await run()
            except Exception as error:  # an unexpected one is to be a difference, and not a hang
                kinds = [kind.__name__ for kind in REFUSALS if isinstance(error, kind)]
                self.say(name, kinds[0] if kinds else repr(error))
            else:
                self.say(name, "ok")

        async def start() -> None:
            self._tasks.start_soon(call)

        self._do(start)

    def _ref(self, path: str) -> Ref[Work | Note]:
        return self._refs.get(path) or self._system.ref(self._specs.children[path])

    def _tell(self, path: str, message: Work | Note) -> bool:
        if isinstance(message, Note):
            self._told[message.number] = path
        try:
            return self._ref(path).tell(message)
        except NotFound:
            if isinstance(message, Note):
                self.say(path, f"lost {message.number}")
            return False

    def _note(self, event: Event) -> None:
        path = self.labels.get(event.path, event.path)
        match event:
            case Started(_, incarnation):
                self.say(f"{path} {incarnation}", "ready")
            case Exited(_, incarnation, reason):
                self.say(f"{path} {incarnation}", f"exited: {reason.kind}")
            case Restarted(_, incarnation):
                self.say(f"{path} {incarnation}", "restarted")
            case GaveUp(_, restarts):
                self.say(path, f"gave up: {restarts}")
            case DeadLetter(_, Note(number)):
                self.say(self._told[number], f"lost {number}")
            case _:
                pass


def _tasks() -> int:
    if trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def _message(message: model.Work | model.Note) -> Work | Note:
    if isinstance(message, model.Note):
        return Note(message.number)
    return Work(message.seconds, message.then)


class _Specs:
    """The specs of the model, as those of the runtime."""

    def __init__(self, driver: Driver) -> None:
        self.scripts: dict[str, Script] = {}
        self.children: dict[str, Child[Work | Note]] = {}
        self.branches: dict[str, Supervisor] = {}
        self.crowds: dict[str, Dynamic[[Script], Work | Note]] = {}
        self._driver = driver

    def supervisor(self, path: str, branch: model.Branch) -> Supervisor:
        children = [self._any(f"{path}/{spec.name}", spec) for spec in branch.children]
        self.branches[path] = supervisor = Supervisor(
            branch.name,
            *children,
            strategy=branch.strategy,
            max_restarts=branch.max_restarts,
            period=branch.period,
        )
        return supervisor

    def child(self, path: str, spec: model.Spec) -> Child[Work | Note]:
        """Give the spec of an actor, the same each time."""
        if path not in self.children:
            self.scripts[path] = script = Script(path, spec, self._driver)
            self.children[path] = (
                Child(Puppet, script)
                .named(spec.name)
                .policy(
                    restart=spec.restart,
                    backoff=_backoff(spec.backoff),
                    grace=spec.grace,
                    start_timeout=spec.start_timeout,
                    hook_timeout=spec.hook_timeout,
                    queued=spec.queued,
                )
            )
        return self.children[path]

    def _any(
        self, path: str, spec: model.AnySpec
    ) -> Child[Work | Note] | Supervisor | Dynamic[[Script], Work | Note]:
        match spec:
            case model.Spec():
                return self.child(path, spec)
            case model.Branch():
                return self.supervisor(path, spec)
            case model.Crowd():
                return self._crowd(path, spec)

    def _crowd(self, path: str, crowd: model.Crowd) -> Dynamic[[Script], Work | Note]:
        child = crowd.child
        self.crowds[path] = dynamic = Dynamic(
            crowd.name,
            Puppet,
            max_children=crowd.max_children,
            max_restarts=crowd.max_restarts,
            period=crowd.period,
            budget=crowd.budget,
            restart=child.restart,
            backoff=_backoff(child.backoff),
            grace=child.grace,
            start_timeout=child.start_timeout,
            hook_timeout=child.hook_timeout,
            queued=child.queued,
        )
        return dynamic


def _backoff(backoff: model.Backoff | None) -> Backoff | None:
    if backoff is None:
        return None
    return Backoff(
        min=backoff.min,
        max=backoff.max,
        factor=backoff.factor,
        reset_after=backoff.reset_after,
        max_attempts=backoff.max_attempts,
    )
