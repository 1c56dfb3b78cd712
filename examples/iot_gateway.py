"""IoT gateway: one actor per device; it outlives the device's sockets, and they outlive it.

herdwick run examples.iot_gateway:app

A device offers the subprotocol iot.v2 and speaks in binary frames, whose first byte is their kind:

    01            reboot             the gateway to a device
    02 code       I will, or not     its answer
    03 …          a reading          a device to the gateway

Be the pump, in a Python with websockets, which herdwick brings:

    from websockets.sync.client import connect

    url, key = "ws://127.0.0.1:8000/device/pump", {"Authorization": "Bearer wool"}
    with connect(url, subprotocols=["iot.v2"], additional_headers=key) as gateway:
        gateway.send(bytes([3, 21]))
        for frame in gateway:
            gateway.send(bytes([2, 0]))

Be an operator with curl -H "Authorization: Bearer dog" http://127.0.0.1:8000/devices/pump, which
tells its last reading. With -X POST, /devices/pump/reboot waits for its answer, or fails: 409 where
it is offline, 502 where it leaves or is replaced before it answers, 504 where it takes too long.
"""

from guardpost import AuthenticationHandler, Policy
from guardpost.common import ClaimsRequirement

import herdwick
from herdwick import (
    Actor,
    Application,
    Ask,
    Close,
    Dynamic,
    HTTPError,
    Identity,
    Message,
    Ref,
    Rejected,
    Request,
    Response,
    Send,
    WebSocket,
    auth,
    json,
    on,
    token_from_header,
)
from herdwick.runtime import LATER, Down, Later, Reply

SUBPROTOCOL = "iot.v2"
REBOOT, ANSWER, READING = b"\x01", b"\x02", b"\x03"
PATIENCE = 30.0
"""Seconds that a device has to answer."""

# ------------------------------------------------------------------ the device's actor


class Attach(Message):
    """The device has connected."""

    socket: Ref[Send | Close]


class Frame(Message):
    data: bytes


class IsOnline(Ask[bool]):
    """Is the device connected?"""


class Reboot(Ask[int]):
    """Reboot, and tell the code that the device answers with."""


class Offline(Exception):
    """The device is not connected."""


class Lost(Exception):
    """The connection is gone that was to bring the answer; the device may have heard the order."""


class Device(Actor[Attach | Frame | IsOnline | Reboot]):
    """One device, connected or not.

    A crash makes a new object and closes no socket. So that it knows its socket, that stands in
    `sockets`, which outlives the crash; nobody but the device's actor touches its entry.
    """

    def __init__(self, device_id: str, sockets: dict[str, Ref[Send | Close]]) -> None:
        self._id = device_id
        self._sockets = sockets
        self._reboots: list[Reply[int]] = []

    async def on_start(self) -> None:
        if self._socket is not None:
            self.ctx.monitor(self._socket)  # one that is closed by now is `Down` at once

    @on(Attach)
    async def attach(self, message: Attach) -> None:
        before = self._socket
        self._sockets[self._id] = message.socket
        self.ctx.monitor(message.socket)
        if before is not None:
            before.tell(Close(4000, "replaced"))
            self._lose_answers("it has connected anew")

    async def on_down(self, down: Down) -> None:
        if down.ref == self._socket:  # not one that was replaced
            del self._sockets[self._id]
            self._lose_answers("it has left")

    @on(Frame)
    async def frame(self, message: Frame) -> None:
        kind, content = message.data[:1], message.data[1:]
        if kind == ANSWER and content:
            for reply in self._reboots:
                reply(content[0])
            self._reboots.clear()
        elif kind == READING:
            await store(self._id, content)

    @on(IsOnline)
    async def is_online(self, message: IsOnline) -> bool:
        return self._socket is not None

    @on(Reboot)
    async def reboot(self, message: Reboot) -> Later:
        if self._socket is None:
            raise Rejected(Offline(f"{self._id} is offline"))
        self._reboots = [reply for reply in self._reboots if reply.wanted]
        if not self._reboots:  # else it has been told already: one reboot serves all who ask
            self._socket.tell(Send(REBOOT))
        self._reboots.append(self.ctx.defer(message))
        return LATER

    @property
    def _socket(self) -> Ref[Send | Close] | None:
        return self._sockets.get(self._id)

    def _lose_answers(self, why: str) -> None:
        for reply in self._reboots:
            reply.reject(Lost(f"no answer from {self._id}: {why}"))
        self._reboots.clear()


readings: dict[str, bytes] = {}


async def store(device_id: str, reading: bytes) -> None:
    """Keep the last reading; a database that is slow here slows that device, and no other."""
    readings[device_id] = reading


# ------------------------------------------------------------------ who may do what

KEYS = {
    "wool": {"sub": "pump", "kind": "device"},
    "fell": {"sub": "boiler", "kind": "device"},
    "dog": {"sub": "ada", "kind": "operator"},
}
DEVICES = {claims["sub"] for claims in KEYS.values() if claims["kind"] == "device"}


class Keys(AuthenticationHandler):
    _from_header = staticmethod(token_from_header())

    @property
    def scheme(self) -> str:
        return "Key"

    def authenticate(self, context: Request) -> Identity | None:
        claims = KEYS.get(self._from_header(context) or "")
        return Identity(claims, self.scheme) if claims else None


app = Application()
app.use_authentication().add(Keys())
for kind in ("device", "operator"):
    app.use_authorization().add(Policy(kind, ClaimsRequirement({"kind": kind})))

# ------------------------------------------------------------------ what the world sees

sockets: dict[str, Ref[Send | Close]] = {}


def make_device(device_id: str) -> Device:
    return Device(device_id, sockets)


devices = Dynamic("devices", make_device, restart="transient", mailbox=64)
app.supervise(devices)


@app.ws("/device/{device_id}")
@auth("device")
async def device(websocket: WebSocket, device_id: str, identity: Identity) -> None:
    if identity.id != device_id:
        raise HTTPError(403, "this is the key of another device")
    if SUBPROTOCOL not in websocket.subprotocols:
        raise HTTPError(400, f"offer the subprotocol {SUBPROTOCOL}")
    actor = await app.get(devices, device_id)
    await websocket.accept(subprotocol=SUBPROTOCOL)
    await actor.send(Attach(websocket.ref))
    async for data in websocket.iter_bytes():
        await actor.send(Frame(data))  # a full mailbox slows this socket, and no other


@app.get("/devices/{device_id}")
@auth("operator")
async def show(device_id: str) -> Response:
    is_online = await (await actor_of(device_id)).ask(IsOnline())
    return json({"online": is_online, "reading": readings.get(device_id, b"").hex()})


@app.post("/devices/{device_id}/reboot")
@auth("operator")
async def reboot(device_id: str) -> Response:
    actor = await actor_of(device_id)
    try:
        code = await actor.ask(Reboot(), timeout=PATIENCE)
    except Rejected as rejected:
        status = 409 if isinstance(rejected.error, Offline) else 502
        raise HTTPError(status, str(rejected.error)) from rejected
    return json({"code": code})


async def actor_of(device_id: str) -> Ref[IsOnline | Reboot]:
    """Give the actor of a device that there is; it starts when it is first spoken of."""
    if device_id not in DEVICES:
        raise HTTPError(404, f"there is no device {device_id}")
    return await app.get(devices, device_id)


if __name__ == "__main__":
    herdwick.run(app)
