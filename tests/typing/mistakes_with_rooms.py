"""Mistakes with rooms that type checkers must find: each line marked `# wrong`, once, and no other.

Nobody imports this file, and the project's own checks leave it out; `test_typing.py` runs theirs.
"""

from operator import attrgetter

from herdwick import (
    Application,
    Ask,
    CatchUp,
    Conflate,
    Disconnect,
    History,
    Left,
    Member,
    Message,
    Params,
    Position,
    Room,
    WebSocket,
    from_member,
    on,
)


class Move(Message):
    dx: float


class Look(Ask[int]):
    pass


class Tick(Message):
    pass


class Price(Message):
    symbol: str


class Game(Room[Move | Look | Tick]):
    def __init__(self, game_id: str, rows: int = 8) -> None:
        self._id = game_id

    @from_member(Move)
    async def move(self, message: Move, member: Member) -> None:
        self.ctx.send_after(1.0, Price("ABC"))  # wrong: the room takes no prices
        await self.broadcast()  # wrong: there is nothing to broadcast
        await self.broadcast(message, exclude="ann")  # wrong: who is left out has an id
        member.remove(1, 2)  # wrong: it is put out for one reason
        self.presence.track("ann", {})  # wrong: a member is tracked, not a name
        member.send()  # wrong: there is nothing to send

    @from_member(Look)
    async def look(self, message: Look, member: Member) -> int:
        return 1

    @on(Tick)
    async def tick(self, message: Tick) -> None: ...

    async def on_leave(self, member: Member, reason: Left) -> None:
        print(reason.kind == "kicked")  # wrong: no membership ends so


class Careless(Room[Move | Look]):
    @from_member(Move)  # wrong: a handler of members gets the member too
    async def move(self, message: Move) -> None: ...

    @from_member(Look)  # wrong: it asks for an int
    async def look(self, message: Look, member: Member) -> str:
        return "one"

    async def on_join(self, member: Member) -> object: ...  # wrong: it gets params too


class Counter:
    pass


app = Application()
app.topic("prices", history=100)  # wrong: a history has more to it than its size
app.topic("prices", slow=Disconnect)  # wrong: the class, not the policy
app.topic("prices", slow=CatchUp(patience="30"))  # wrong: patience is seconds
app.topic("prices", slow=Conflate[Price](key="symbol"))  # wrong: the key is a function
app.topic("prices", slow=Conflate[Price](key=attrgetter("symbol")), history=History())
app.room("counter:{id}")(Counter)  # wrong: that is no room


async def guard(member: Member) -> None: ...


app.topic("secrets", authorize=guard)  # wrong: it gets params too


app.ws("/live", topics="10")  # wrong: a number of topics
app.ws("/live", message_rate=100)  # wrong: a rate is a Rate
app.ws("/live", connections=10)  # wrong: a limit of the whole application


@app.ws("/game/{game_id}")
async def game(websocket: WebSocket, game_id: str) -> None:
    async with websocket.join(Game, 42):  # wrong: an argument of the room
        pass
    async with websocket.join(Game, game_id, "8"):  # wrong: an argument of the room
        pass
    Position.parse(5)  # wrong: a position travels as text
    async with websocket.join("prices") as topic:
        await topic.push(Move(1.0))  # wrong: a topic without a room takes no messages
    async with websocket.join(Game, game_id, rows=8) as room:
        await room.push(Price("ABC"))  # wrong: the room takes no prices
        await room.push("left")  # wrong: a text is no message
        looked: str = await room.push(Look())  # wrong: it tells an int
        nothing: int = await room.push(Move(1.0))  # wrong: it tells nothing
        position: int = await room.broadcast(1)  # wrong: a position is opaque
        await room.broadcast(1, exclude="me")  # wrong: who is left out has an id
        print(looked, nothing, position)


async def elsewhere(params: Params) -> None:
    app.room_ref(Game, 42)  # wrong: an argument of the room
    app.room_ref(Game, "42").tell(Price("ABC"))  # wrong: the room takes no prices
    await app.broadcast("prices")  # wrong: there is nothing to broadcast
    name: int = params.decode(Price).symbol  # wrong: it is text
    app.users.disconnect(42)  # wrong: the id of a user is text
    print(name)
