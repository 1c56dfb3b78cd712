"""Right uses of rooms, in the shapes of applications: type checkers object to none of it."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Never

from herdwick import (
    LATER,
    Application,
    Ask,
    CatchUp,
    Conflate,
    Context,
    History,
    JoinRefused,
    Later,
    Left,
    Member,
    Membership,
    Message,
    Params,
    Position,
    PresenceDiff,
    PresenceOptions,
    Rate,
    Ref,
    Rejected,
    Reply,
    Room,
    WebSocket,
    everyone,
    from_member,
    on,
)

app = Application()

# ---------------------------------------------------------------------- an editor


class Edited(Message):
    revision: int
    text: str


class Edit(Ask[Edited]):
    revision: int
    insert: str


class Cursor(Message):
    at: int


class Hello(Message):
    name: str


class Save(Ask[str]):
    pass


@app.room("doc:{doc_id}", history=History(size=1000), presence=True, slow=CatchUp())
class Document(Room[Edit | Cursor | Save]):
    def __init__(self, doc_id: str) -> None:
        self._id, self._revision, self._text = doc_id, 0, ""
        self._saving: Reply[str] | None = None

    @classmethod
    async def authorize(cls, member: Member, params: Params) -> None:
        if member.identity is None or member.identity.id == "mallory":
            raise JoinRefused("not you")

    async def on_join(self, member: Member, params: Params) -> Edited:
        self.presence.track(member, {"name": params.decode(Hello).name})
        return Edited(self._revision, self._text)

    async def on_reattach(self, member: Member) -> None:
        member.send(Edited(self._revision, self._text))

    async def on_leave(self, member: Member, reason: Left) -> None:
        if reason.kind == "lost":
            print(reason.code, self.members, self.position)

    async def on_presence(self, diff: PresenceDiff) -> None:
        await self.broadcast({"joins": diff.joins}, record=False)

    async def snapshot(self) -> tuple[int, str]:
        return self._revision, self._text

    async def restore(self, snapshot: object) -> None:
        assert isinstance(snapshot, tuple)

    @from_member(Edit)
    async def edit(self, message: Edit, member: Member) -> Edited:
        if message.revision < 0:
            raise Rejected("negative")
        edited = Edited(self._revision, message.insert)
        position: Position | None = await self.broadcast(edited, exclude=member, key="one")
        await self.broadcast(edited, exclude=[member, *self.members])
        await self.save()
        print(position)
        return edited

    @from_member(Cursor)
    async def cursor(self, message: Cursor, member: Member) -> None:
        self.presence.track(member, {"at": message.at})

    @from_member(Save)
    async def save_all(self, message: Save, member: Member) -> str | Later:
        self._saving = self.ctx.defer(message)
        return LATER


@app.ws("/doc/{doc_id}")
async def document(websocket: WebSocket, doc_id: str) -> None:
    await websocket.accept()
    async with websocket.join(Document, doc_id) as room:
        await watch(room, websocket)
        async for message in websocket.iter_as(Edit, Cursor):
            match message:
                case Edit():
                    edited: Edited = await room.push(message)
                    await websocket.send_json(edited)
                case Cursor():
                    await room.push(message, timeout=1.0)


async def watch(room: Membership[Edit | Cursor], websocket: WebSocket) -> None:
    await room.broadcast({"here": True}, exclude=websocket)
    present: Mapping[str, Mapping[str, object]] = room.presence
    print(present, room.topic, room.position, room.left)


# ---------------------------------------------------------------------- a game


class Move(Message):
    dx: float


class Tick(Message):
    pass


@app.room("game:{game_id:int}")
class Game(Room[Move | Tick]):
    def __init__(self, game_id: int) -> None:
        self._at: dict[Member, float] = {}

    async def on_start(self) -> None:
        self.ctx.every(0.05, Tick())

    @from_member(Move)
    async def move(self, message: Move, member: Member) -> None:
        self._at[member] += message.dx

    @on(Tick)
    async def tick(self, message: Tick) -> None:
        await self.broadcast({member.id: at for member, at in self._at.items()}, record=False)


class LoudGame(Game):
    @from_member(Move)
    async def move(self, message: Move, member: Member) -> None:
        await super().move(message, member)
        print(message)


# ---------------------------------------------------------------------- prices


class Price(Message):
    symbol: str


app.topic("prices", slow=Conflate[Price](key=attrgetter("symbol"), interval=0.5))
app.topic("chat:{room}", history=History(replay=10), presence=True, authorize=everyone)
app.topic("team:{id}", presence=PresenceOptions(grace=5.0))


async def feed(ctx: Context[Never]) -> None:
    await app.broadcast("prices", Price("ABC"), record=False)


@app.ws("/prices")
async def prices(websocket: WebSocket) -> None:
    await websocket.accept()
    since = Position.parse(websocket.query["since"])
    async with websocket.join("prices", since=since, params={"name": "Ann"}) as topic:
        topic.track({"name": "Ann"})
        await topic.broadcast("hello", exclude=websocket)


@app.ws("/live", topics=10, message_rate=Rate(100, burst=200), ping_interval=None)
async def live(websocket: WebSocket) -> None:
    await websocket.serve_rooms("chat:{room}", Document)


async def elsewhere() -> None:
    game: Ref[Move | Tick] = app.room_ref(Game, 42)
    game.tell(Tick())
    closed: int = app.users.disconnect("ann", code=4403)
    print(closed, app.presence("chat:1"), app.users.connections("ann"))
    await app.drain(window=5.0)
