"""Mistakes that type checkers must find: each line marked `# wrong`, once, and no other line.

Nobody imports this file, and the project's own checks leave it out; `test_typing.py` runs theirs.
"""

from typing import Generic, Never, TypeVar

from herdwick import Application, Close, WebSocket
from herdwick.runtime import (
    LATER,
    Actor,
    Ask,
    Backoff,
    Child,
    Context,
    Down,
    Dynamic,
    Later,
    Message,
    Ref,
    Reply,
    Supervisor,
    System,
    on,
    watch,
)

T = TypeVar("T")


class Add(Message):
    n: int = 1


class Reset(Message):
    pass


class Get(Ask[int]):
    pass


class Find(Ask[str | None]):
    key: str


class Put(Message, Generic[T]):
    value: T


class Attach(Message):
    counter: Ref[Add]


class Counter(Actor[Add | Get]):
    def __init__(self, start: int = 0) -> None:
        self._value = start

    @on(Add)
    async def add(self, message: Add) -> None:
        self._value += message.n

    @on(Get)
    async def get(self, message: Get) -> int:
        return self._value


class Device(Actor[Find | Put[int] | Attach]):
    def __init__(self, serial: str) -> None:
        self._serial = serial

    @on(Find)
    async def find(self, message: Find) -> str | None:
        return self._serial

    @on(Put[int])
    async def put(self, message: Put[int]) -> None: ...

    @on(Attach)
    async def attach(self, message: Attach) -> None: ...


async def feed(ctx: Context[Add | Down], url: str) -> None:
    await ctx.receive()


counter = Child(Counter, start=10)
devices = Dynamic("devices", Device)
feeder = Child(feed, "https://prices")

# ---------------------------------------------------------------------- messages

Add(n="one")  # wrong: a field's type
Add(1, 2)  # wrong: a field too many
Find()  # wrong: a field is missing
Add(m=1)  # wrong: no such field
Add().n = 2  # wrong: messages are frozen


async def speak(ref: Ref[Add | Get], device: Ref[Find | Put[int] | Attach]) -> None:
    ref.tell(Reset())  # wrong: told what it does not take
    ref.tell(Add)  # wrong: told a class
    ref.tell(Add(), Add())  # wrong: told two at once
    ref.tell("add")  # wrong: told what is no message
    await ref.tell(Add())  # wrong: awaited what does not wait
    await ref.send(Reset())  # wrong: sent what it does not take
    ref.send(Add())  # wrong: not awaited
    await ref.ask(Reset())  # wrong: asked what it does not take
    await ref.ask(Find("a"))  # wrong: asked another actor's question
    await ref.ask(Get)  # wrong: asked a class
    await ref.ask(Get(), 5.0)  # wrong: the timeout has a name
    await ref.ask(Get(), timeout="5")  # wrong: the timeout's type
    device.tell(Put("text"))  # wrong: a generic message with another value
    device.tell(Attach(device))  # wrong: a message with another actor's ref


async def use_replies(ref: Ref[Add | Get], device: Ref[Find | Put[int]]) -> None:
    text: str = await ref.ask(Get())  # wrong: a reply of another type
    len(await ref.ask(Get()))  # wrong: a reply of another type, passed on
    (await device.ask(Find("a"))).upper()  # wrong: a reply that may be None
    number: int = await ref.ask(Add())  # wrong: a plain message answers None
    number = ref.ask(Get())  # wrong: a reply not waited for
    print(text, number)


# ---------------------------------------------------------------------- refs


def hand_on(adds: Ref[Add], counts: Ref[Add | Get], nobody: Ref[Never]) -> None:
    both: Ref[Add | Get] = adds  # wrong: it takes less
    resets: Ref[Reset] = counts  # wrong: it takes something else
    anything: Ref[object] = counts  # wrong: it does not take anything
    strings: Ref[Add] = "root/counter"  # wrong: a path is no ref
    nobody.tell(Add())  # wrong: it takes nothing that is known
    print(both, resets, anything, strings)


# ---------------------------------------------------------------------- handlers


class WrongReply(Actor[Get]):
    @on(Get)  # wrong: the reply is an int
    async def get(self, message: Get) -> str:
        return ""


class NoReply(Actor[Get]):
    @on(Get)  # wrong: the reply is an int, and None is none
    async def get(self, message: Get) -> None: ...


class Talkative(Actor[Add]):
    @on(Add)  # wrong: a message has no reply
    async def add(self, message: Add) -> int:
        return 1


class WrongMessage(Actor[Get]):
    @on(Get)  # wrong: the handler takes another message
    async def get(self, message: Add) -> int:
        return 1


class Plain(Actor[Get]):
    @on(Get)  # wrong: not `async def`
    def get(self, message: Get) -> int:
        return 1


on(Get())  # wrong: marked with an instance
on(int)  # wrong: marked with what is no message


class Late(Actor[Get | Add | Find]):
    _replies: list[Reply[int]]
    _text: Reply[str]

    @on(Get)
    async def get(self, message: Get) -> int:
        self._replies.append(self.ctx.defer(message))
        return LATER  # wrong: not annotated as `int | Later`

    @on(Find)
    async def find(self, message: Find) -> str | Later | None:
        self._replies.append(self.ctx.defer(message))  # wrong: the reply to another question
        return LATER

    @on(Add)
    async def add(self, message: Add) -> None:
        self._replies[0]("1")  # wrong: a reply of another type
        self._replies[0]()  # wrong: a reply without its value
        self._text = self._replies[0]  # wrong: a reply to another question
        self.ctx.defer(1)  # wrong: deferred what is no message


class Busy(Actor[Add | Get]):
    async def on_start(self) -> None:
        self.ctx.ref.tell(Reset())  # wrong: tells itself what it does not take
        self.ctx.send_after(1.0, Reset())  # wrong: a timer with what it does not take
        self.ctx.send_after("1", Add())  # wrong: a delay is a number
        self.ctx.every(1.0, Reset(), key="reset")  # wrong: an interval with what it does not take
        self.ctx.every("1", Add())  # wrong: a period is a number
        self.ctx.monitor("root/counter")  # wrong: a path is no ref
        self.ctx.monitor(counter)  # wrong: a spec is no ref
        self.ctx.start_soon(self.helper())  # wrong: called already
        self.ctx.start_soon(print)  # wrong: not async

    async def on_stop(self) -> None: ...  # wrong: the hook takes the reason

    async def on_down(self, down: Add) -> None: ...  # wrong: the hook takes a Down

    async def helper(self) -> None: ...


async def receives(ctx: Context[Add | Reset]) -> None:
    add: Add = await ctx.receive()  # wrong: it may be a Reset
    add = ctx.receive()  # wrong: not awaited
    print(add)


# ---------------------------------------------------------------------- specs

Child(Counter, start="ten")  # wrong: a constructor's argument
Child(Counter, begin=10)  # wrong: no such argument
Child(Counter, 1, 2)  # wrong: an argument too many
Child(Device)  # wrong: an argument is missing
Child(feed)  # wrong: a function's argument is missing
Child(feed, 5)  # wrong: a function's argument
counter.named(1)  # wrong: a name is text
counter.policy(restrat="transient")  # wrong: no such option
counter.policy(restart="always")  # wrong: no such choice
counter.policy(grace="5")  # wrong: an option's type
counter.policy(overflow="drop_newest")  # wrong: no such choice of overflow
counter.policy(backoff=0.1)  # wrong: a backoff is no number
Backoff(min="1")  # wrong: a backoff's field
Backoff(maximum=5.0)  # wrong: no such field of a backoff
Dynamic("devices", Device("a"))  # wrong: an instance, not its class, for a dynamic supervisor
Dynamic("devices", feed)  # wrong: a dynamic supervisor starts actor classes
Dynamic("devices", Device, restart="never")  # wrong: no such choice for dynamic children
Dynamic("devices", Device, max_childs=5)  # wrong: no such option of a dynamic supervisor
Dynamic("devices", Device, budget="all")  # wrong: no such choice of a budget
Supervisor("root", Counter)  # wrong: a class, not its spec
Supervisor("root", counter, strategy="one_for_none")  # wrong: no such strategy
Supervisor(counter)  # wrong: a supervisor has a name
System(Supervisor("root"), on_stuck="ignore")  # wrong: no such choice for a stuck actor
System(counter)  # wrong: the root is a supervisor


async def use_system(system: System) -> None:
    system.ref(Counter)  # wrong: a class, not its spec, for a ref
    system.ref("counter")  # wrong: the spec is the key, not its name
    system.ref(devices)  # wrong: a dynamic supervisor has no ref
    system.ref(counter).tell(Reset())  # wrong: the spec knows its messages
    wrong: Ref[Reset] = system.ref(counter)  # wrong: the ref of another actor
    system.ref(feeder).tell(Get())  # wrong: the spec of a function knows its messages too
    await system.start(devices)  # wrong: an argument of a dynamic child is missing
    await system.start(devices, 5)  # wrong: an argument of a dynamic child
    await system.get(devices, "a", "b")  # wrong: an argument too many of a dynamic child
    (await system.get(devices, "a")).tell(Add())  # wrong: the dynamic child knows its messages
    system.find(devices, "a").tell(Put(1))  # wrong: it may not be there
    await system.restart_child("counter")  # wrong: the spec is the key of admin calls too
    await system.start_child(counter, devices)  # wrong: a child is no supervisor
    system.which_children(counter)  # wrong: an actor has no children
    system.statistics("counter")  # wrong: statistics of a name
    print(wrong)


def look_on(ref: Ref[Add], system: System) -> None:
    def hear(message: Add) -> None: ...

    watch(ref, hear)  # wrong: it is told a Down
    watch(counter, print)  # wrong: a spec cannot be watched
    system.events.subscribe(hear)  # wrong: it is told events


# ---------------------------------------------------------------------- the application

app = Application()


@app.ws("/counter")
async def socket(websocket: WebSocket) -> None:
    websocket.ref.tell(Add())  # wrong: a WebSocket takes Send and Close
    websocket.ref.tell(Close("bye"))  # wrong: a close has a code
    device = await app.get(devices, 5)  # wrong: an argument of the application's dynamic child
    app.ref(counter).tell(Reset())  # wrong: the application knows the messages too
    app.ref(counter).tell(Close())  # wrong: a counter is no WebSocket
    print(device)


app.supervise(Counter)  # wrong: a class, not its spec, to the application
