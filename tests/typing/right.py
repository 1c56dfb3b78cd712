"""Right uses of actors, in the shapes of applications: type checkers object to none of it."""

from collections.abc import AsyncIterator, Callable
from typing import Generic, Never, TypeVar

from herdwick import Application, Close, Response, Send, WebSocket, json
from herdwick.runtime import (
    LATER,
    Actor,
    Ask,
    Backoff,
    Child,
    Context,
    Down,
    Dynamic,
    Exit,
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
V = TypeVar("V")

app = Application()

# ---------------------------------------------------------------------- a gateway of devices


class Attach(Message):
    socket: Ref[Send | Close]


class Frame(Message):
    data: bytes


class Reboot(Ask[int]):
    pass


class Device(Actor[Attach | Frame | Reboot]):
    def __init__(self, device_id: str) -> None:
        self._id = device_id
        self._socket: Ref[Send | Close] | None = None
        self._rebooting: Reply[int] | None = None

    @on(Attach)
    async def attach(self, message: Attach) -> None:
        if self._socket is not None:
            self._socket.tell(Close(4000, "replaced"))
        self._socket = message.socket
        self.ctx.monitor(message.socket)

    async def on_down(self, down: Down) -> None:
        if down.ref == self._socket:
            self._socket = None

    @on(Frame)
    async def frame(self, message: Frame) -> None:
        if message.data[:1] == b"\x02" and self._rebooting is not None:
            self._rebooting(message.data[1])

    @on(Reboot)
    async def reboot(self, message: Reboot) -> int | Later:
        if self._socket is None:
            return -1
        self._socket.tell(Send(b"\x01"))
        self._rebooting = self.ctx.defer(message)
        return LATER


devices = Dynamic("devices", Device, restart="transient", max_children=1000, idle_timeout=60.0)
app.supervise(devices)


@app.ws("/device/{device_id}")
async def device_socket(websocket: WebSocket, device_id: str) -> None:
    await websocket.accept(subprotocol="iot.v2")
    actor = await app.get(devices, device_id)
    await actor.send(Attach(websocket.ref))
    async for data in websocket.iter_bytes():
        await actor.send(Frame(data))


@app.post("/devices/{device_id}/reboot")
async def reboot(device_id: str) -> Response:
    actor = await app.get(devices, device_id)
    return json({"code": await actor.ask(Reboot(), timeout=30)})


# ---------------------------------------------------------------------- a feed of prices


class Price(Message):
    symbol: str
    bid: float = 0.0


async def upstream() -> AsyncIterator[Price]:
    yield Price("ABC", bid=1.0)


async def feed(ctx: Context[Never], readers: list[Ref[Price]], *, first: int = 0) -> None:
    async for price in upstream():
        for reader in readers[first:]:
            reader.tell(price)


feeder = (
    Child(feed, [], first=1)
    .named("feed")
    .policy(backoff=Backoff(min=0.1, max=5.0), overflow="drop_oldest", queued="drop", mailbox=None)
)
app.supervise(feeder)


# ---------------------------------------------------------------------- a document, and its editors


class Edited(Message):
    revision: int
    text: str


class Edit(Ask[Edited]):
    insert: str


class Look(Ask[str | None]):
    pass


class Save(Message):
    pass


class Document(Actor[Edit | Look | Save]):
    def __init__(self, name: str, *, autosave: float = 1.0) -> None:
        self._name = name
        self._autosave = autosave
        self._revision = 0
        self._text: str | None = None

    async def on_start(self) -> None:
        self.ctx.every(self._autosave, Save(), key="autosave")
        self.ctx.send_after(10, Save())

    async def on_stop(self, reason: Exit) -> None:
        self.ctx.cancel_timer("autosave")

    @on(Edit)
    async def edit(self, message: Edit) -> Edited:
        self._revision += 1
        self._text = (self._text or "") + message.insert
        return Edited(self._revision, message.insert)

    @on(Look)
    async def look(self, message: Look) -> str | None:
        return self._text

    @on(Save)
    async def save(self, message: Save) -> None:
        self.ctx.start_soon(self._write, self._text, self._revision)

    async def _write(self, text: str | None, revision: int) -> None: ...


class Archive(Document):
    """Overrides without a mark, and looks up nothing later."""

    async def edit(self, message: Edit) -> Edited:
        edited = await super().edit(message)
        return Edited(edited.revision, edited.text.upper())


async def editor(ctx: Context[Edited | Down], document: Ref[Edit], words: list[str]) -> None:
    ctx.monitor(document, tag="document")
    for word in words:
        edited = await document.ask(Edit(word))
        ctx.ref.tell(edited)
    match await ctx.receive():
        case Edited(revision=revision):
            ctx.stop(f"at {revision}")
        case Down(reason=reason):
            ctx.stop(reason.kind)


# ---------------------------------------------------------------------- generic messages and actors


class Put(Message, Generic[V]):
    value: V


class Fetch(Ask[V], Generic[V]):
    pass


class Cell(Actor[Put[str] | Fetch[str]]):
    _value = ""

    @on(Put[str])
    async def put(self, message: Put[str]) -> None:
        self._value = message.value

    @on(Fetch[str])
    async def fetch(self, message: Fetch[str]) -> str:
        return self._value


class Tallied(Actor[Save | T], Generic[T]):
    """Leaves the rest of its messages to subclasses."""

    @on(Save)
    async def save(self, message: Save) -> None: ...


class Prices(Tallied[Price]):
    @on(Price)
    async def price(self, message: Price) -> None: ...


async def question(ctx: Context[Look | Save]) -> None:
    message = await ctx.receive()
    if isinstance(message, Look):
        ctx.defer(message)("nothing")


# ---------------------------------------------------------------------- the tree and its refs

document = Child(Document, "readme", autosave=5).named("readme").policy(restart="transient")
archive = Child(Archive, "old")
looked_at: Child[Look] = archive
cell = Child(Cell)
prices = Child(Prices)
asked = Child(question).policy(grace=1, drain=True, start_timeout=5.0)
documents = Supervisor("documents", document, archive, strategy="rest_for_one", max_restarts=0)
tree = Supervisor("root", documents, cell, prices, asked, devices, period=60)


def tell_all(refs: list[Ref[Save]], save: Save) -> int:
    return sum(ref.tell(save) for ref in refs)


async def use(system: System) -> None:
    whole: Ref[Edit | Look | Save] = system.ref(document)
    saves: Ref[Save] = whole
    anybody: list[Ref[Never]] = [whole, saves, system.ref(cell), system.ref(prices)]
    taken: bool = saves.tell(Save())
    edited: Edited = await whole.ask(Edit("text"))
    seen: str | None = await system.ref(looked_at).ask(Look(), timeout=1)
    fetched: str = await system.ref(cell).ask(Fetch[str]())
    system.ref(cell).tell(Put("text"))
    await system.ref(prices).ask(Price("ABC"))
    await whole.send(Save())
    print(tell_all([saves, whole], Save()), anybody, taken, edited, seen, fetched)


async def look_after(system: System) -> None:
    device = await system.get(devices, "a")
    other = await system.start(devices, device_id="b")
    found = system.find(devices, "a")
    if found is not None:
        found.tell(Frame(b""))
    for child in system.which_children(documents):
        print(child.name, child.state)
    await system.restart_child(document)
    await system.terminate_child(device)
    await system.terminate_child(cell)
    await system.delete_child(cell)
    await system.start_child(tree, Child(Cell).named("another"))
    print(system.statistics(document).mailbox, system.tree(), other == found)


def look_on(system: System, devices_seen: set[str]) -> Callable[[], None]:
    def gone(down: Down) -> None:
        devices_seen.discard(down.ref.path)

    watch(system.ref(document), gone, tag="document")
    return system.events.subscribe(lambda event: devices_seen.add(str(event)))


async def main() -> None:
    async with System(tree, stop_timeout=10, on_stuck="exit", random=lambda: 0.5) as system:
        await use(system)
