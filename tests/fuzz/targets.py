"""One function for each parser that reads a peer's bytes; it raises where the parser is wrong."""

import codecs
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from typing import Final

import h11
import msgspec

from herdwick.actors import Data, InvalidPosition, Position
from herdwick.protocol import decode_client, decode_server
from herdwick.routing import (
    BadPath,
    InvalidPattern,
    InvalidTopic,
    ParamTypes,
    Table,
    TopicPattern,
    TopicTable,
    UnknownParameterType,
    check_topic,
)
from herdwick.routing.pattern import split_path
from herdwick.runtime.logs import redacted
from herdwick.server.assembly import Assembly
from herdwick.server.connection import Phase, WebSocketConnection
from herdwick.server.frames import FrameError, Header, build_close, parse_close
from herdwick.server.gate import Gate, Upgrade, Verdict
from herdwick.server.handshake import Refusal, build_acceptance
from herdwick.server.head import parse_head
from herdwick.server.scope import InvalidTarget, Peers, split_target
from herdwick.server.target import MalformedTarget, Target
from herdwick.server.visit import examine
from herdwick.websocket import InvalidMessage, Limits, Query, Request
from herdwick.websocket import files as static_files
from herdwick.websocket.codec import decode_json, decode_msgpack
from herdwick.websocket.origin import Origin, OriginPolicy
from herdwick.websocket.tokens import token_from_header, token_from_subprotocol

Parser = Callable[[bytes], object]

LIMIT: Final = 300
"""Bytes of a message, and of a head: small, so that limits are reached."""

LIMITS: Final = Limits(message_bytes=LIMIT, message_fragments=20, head_bytes=16 * LIMIT)


@dataclass(frozen=True, slots=True)
class Subject:
    """A parser, and words that lead into its depths."""

    parse: Parser
    words: tuple[bytes, ...]


TARGETS: Final[dict[str, Subject]] = {}


def target(*words: bytes) -> Callable[[Parser], Parser]:
    """Add a parser by its name."""

    def add(parse: Parser) -> Parser:
        TARGETS[parse.__name__] = Subject(parse, words)
        return parse

    return add


def _expect(holds: bool) -> None:
    assert holds


# ---------------------------------------------------------------------- HTTP

HEAD_WORDS: Final = (
    b"GET / HTTP/1.1\r\n",
    b"POST /a?b=c HTTP/1.0\r\n",
    b"Host: fell\r\n",
    b"Upgrade: websocket\r\n",
    b"Connection: keep-alive, Upgrade\r\n",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b"Sec-WebSocket-Version: 13\r\n",
    b"Sec-WebSocket-Protocol: chat, bearer.x\r\n",
    b"Origin: http://fell\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
    b"\n",
    b" \t",
    b": ",
    b"%zz",
    b"\x00",
)


@target(*HEAD_WORDS)
def head(data: bytes) -> None:
    """What we take for a head, h11 takes for the same one, or for none."""
    parsed = parse_head(data)
    if parsed is None:
        return
    for name, value in parsed.headers:
        assert name == name.lower()
        assert value == value.strip(b" \t")
        assert not {0, 10, 13} & {*name, *value}
        assert value in parsed.all(name)
    oracle = h11.Connection(h11.SERVER)
    oracle.receive_data(data + b"\r\n")
    with suppress(h11.RemoteProtocolError):
        event = oracle.next_event()
        assert isinstance(event, h11.Request)
        assert (event.method, event.target) == (parsed.method.encode(), parsed.target)
        assert list(event.headers) == list(parsed.headers)


WHOLE: Final = b"".join(
    line for line in HEAD_WORDS if b":" in line and not line.startswith((b"Content", b"Transfer"))
)


@target(*HEAD_WORDS, b"\xffGET / HTTP/1.1\r\n" + WHOLE.removesuffix(b": ") + b"\r\n")
def handshake(data: bytes) -> None:
    """It does not matter how a handshake is cut; and what is not refused can be answered."""
    verdict = _let_in(data[1:], 1 + data[0] if data else 1)
    whole = _let_in(data[1:], max(1, len(data)))
    assert type(verdict) is type(whole)
    if not isinstance(whole, Upgrade):
        return
    assert isinstance(verdict, Upgrade)
    assert verdict.head == whole.head
    request = examine(whole.head, Peers(("192.0.2.1", 1), None), {}, lambda handshake: None)
    if not isinstance(request, Refusal):
        OriginPolicy().refusal(request.scheme, request.raw_headers)
        _read_all(request)
        assert build_acceptance(whole.head, None, ()).startswith(b"HTTP/1.1 101 ")


def _let_in(data: bytes, step: int) -> Verdict | None:
    gate = Gate(LIMITS)
    for at in range(0, len(data), step):
        verdict = gate.receive(data[at : at + step])
        if verdict is not None:
            return verdict
    return None


def _read_all(request: Request) -> None:
    """Read what handlers read of a handshake."""
    assert isinstance(request.path, str)
    for value in (request.cookies, request.query, request.headers):
        assert all(isinstance(value[name], str) for name in value)
    token_from_header()(request)
    token_from_subprotocol()(request)


PATHS: Final = (b"/", b"//", b"..", b"%2f", b"%2e", b"%00", b"%c3%a9", b"%", b"?", b"http://", b"*")


@target(*PATHS)
def request_target(data: bytes) -> None:
    """The path that is routed is the path that a handler sees."""
    try:
        path, raw_path, _ = split_target(data)
    except InvalidTarget:
        return
    assert path == "*" or path.startswith("/")
    assert not any(character < " " or character == "\x7f" for character in path)
    with suppress(BadPath):
        assert "/" + "/".join(split_path(raw_path.decode("latin-1"))) == path or path == "*"


TABLE: Final = Table[int](ParamTypes())
for number, route in enumerate(
    ("/", "/a", "/a/{x:int}", "/a/{x}/b", "/a/{x:float}-c", "/v{x:uuid}", "/files/{rest:path}")
):
    TABLE.add("GET", route, number)


@target(*PATHS, b"/a/1", b"/a/1.5-c", b"/files/a/b", b"/v123e4567-e89b-12d3-a456-426614174000")
def path(data: bytes) -> None:
    """A path leads to a route, to none, or is bad."""
    with suppress(BadPath):
        TABLE.find("GET", data.decode("latin-1"))
        TABLE.methods(data.decode("latin-1"))


@target(b"/", b"{x}", b"{x:int}", b"{int:x}", b"{rest:path}", b"{", b"}", b":", b"%41", b"*")
def pattern(data: bytes) -> None:
    """The text of a route is read, or its error says what to write."""
    table = Table[int](ParamTypes())
    with suppress(InvalidPattern, UnknownParameterType):
        table.add("GET", data.decode("utf-8", "replace"), 1)
        with suppress(BadPath):
            table.find("GET", "/a/1/b")


@target(b"http://", b"https://", b"fell", b":80", b"[::1]", b"null", b"@", b"/", b".", b" ")
def origin(data: bytes) -> None:
    """An origin is none, or is read again as itself; and one that is not ours is refused."""
    text = data.decode("latin-1")
    read = Origin.read(text)
    refusal = OriginPolicy().refusal("ws", [(b"host", b"fell"), (b"origin", data)])
    assert (refusal is None) == (read == Origin("http", "fell", 80))
    if read is not None and ":" not in read.host:
        port = "" if read.port is None else f":{read.port}"
        assert Origin.read(f"{read.scheme}://{read.host}{port}") == read


@target(b"a=b", b"; ", b"=", b'"', b",", b"\xff", b"$Path")
def cookies(data: bytes) -> None:
    """Cookies are texts by name."""
    _read_all(Request({"type": "http", "headers": [(b"cookie", data)], "path": "/"}))


@target(b"a=b", b"&", b"=", b"+", b"%20", b"%ff", b";", b"\xff")
def query(data: bytes) -> None:
    """A query is texts by name."""
    read = Query(data)
    assert all(read.get_all(name) for name in read)


@target(b"Bearer x", b"bearer.x", b", ", b" ", b"\xff")
def token(data: bytes) -> None:
    """A token is found, or none."""
    headers = [(b"authorization", data)]
    offered = [each.strip() for each in data.decode("latin-1").split(",")]
    scope = {"type": "websocket", "headers": headers, "subprotocols": offered, "path": "/"}
    for source in (token_from_header(), token_from_subprotocol()):
        assert isinstance(source(Request(scope)), str | None)


@target(b"bytes=", b"0-9", b"-5", b"5-", b",", b"99999999999999999999")
def byte_range(data: bytes) -> None:
    """A part of a file is inside of it, or is empty."""
    part = static_files._part(data.decode("latin-1"), 100)  # pyright: ignore[reportPrivateUsage]
    assert part is None or (part.start >= 0 and part.end <= 100)


@target(format_datetime(datetime(2026, 1, 2, tzinfo=UTC)).encode(), b"GMT", b"-9999")
def http_date(data: bytes) -> None:
    """A date is a moment, or none."""
    static_files._timestamp(data.decode("latin-1"))  # pyright: ignore[reportPrivateUsage]


@target(b"/?token=", b"&", b";", b"?", b"code=", b"%74oken=", b" ", b'"')
def log_line(data: bytes) -> None:
    """A secret does not get into a log."""
    text = data.decode("latin-1")
    assert "hunter2" not in redacted(f"{text}?x=1&token=hunter2&y=2")


# ---------------------------------------------------------------------- WebSocket


@dataclass
class Peer:
    """What a connection tells its receiver."""

    messages: list[Data] = field(default_factory=list[Data])
    ends: list[int] = field(default_factory=list[int])

    def deliver(self, data: Data) -> None:
        assert not self.ends
        assert len(data if isinstance(data, bytes) else data.encode()) <= LIMIT
        self.messages.append(data)

    def disconnected(self, code: int, reason: str) -> None:
        self.ends.append(code)

    failed = disconnected


MASKED: Final = (
    b"\x81\x83\x00\x00\x00\x00abc",
    b"\x82\x81\x01\x02\x03\x04a",
    b"\x01\x82\x00\x00\x00\x00\xe2\x82",
    b"\x00\x80\x00\x00\x00\x00",
    b"\x80\x81\x00\x00\x00\x00\xac",
    b"\x89\x80\x00\x00\x00\x00",
    b"\x8a\x81\x00\x00\x00\x00!",
    b"\x88\x82\x00\x00\x00\x00\x03\xe8",
    b"\x82\xfe\x01\x2c\x00\x00\x00\x00",
    b"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00a",
)


@target(*MASKED)
def frames(data: bytes) -> None:
    """It does not matter how frames are cut, and a failure is always told with a close frame."""
    step = 1 + (data[0] if data else 0)
    assert _talk(data[1:], step) == _talk(data[1:], max(1, len(data)))


def _talk(data: bytes, step: int) -> tuple[list[Data], list[int], bytes]:
    connection, peer = WebSocketConnection(LIMITS), Peer()
    connection.receiver = peer
    connection.accept(b"", 0.0)
    for at in range(0, len(data), step):
        connection.receive(data[at : at + step], 0.0)
    sent = b""
    while connection.outbox:
        sent += connection.outbox.take()
        connection.outbox.written()
    assert (connection.phase is Phase.OPEN) == (not peer.ends)
    if peer.ends:
        assert b"\x88" in sent
    connection.lost()
    assert len(peer.ends) == 1
    return peer.messages, peer.ends, sent


@target(b"\x03\xe8", b"\x0f\xa0bye", b"\x03\xed", "é".encode(), b"\xff")
def close_payload(data: bytes) -> None:
    """A close payload is refused, or is written again as it came."""
    try:
        code, reason = parse_close(data[:125])
    except FrameError as error:
        _expect(error.code in (1002, 1007))
        return
    assert build_close(code, reason)[2:] == data[:125]


@target(b"\x05", "é€\U0001f600".encode(), b"\xff", b"\xed\xa0\x80", b"\xf0\x9f")
def assembly(data: bytes) -> None:
    """Text in fragments is what it is in one piece, and bad where it is bad there."""
    step, text = 1 + (data[0] if data else 0), data[1:LIMIT]
    assembled = Assembly(Limits(message_bytes=LIMIT, message_fragments=LIMIT))
    edges = [*range(0, max(1, len(text)), step), len(text)]
    message: Data | None = None
    try:
        for start, stop in pairwise(edges):
            header = Header(stop == len(text), 0 if start else 1, stop - start, 6)
            assembled.check(header)
            message = assembled.add(header, text[start:stop])
    except FrameError as error:
        _expect(error.code == 1007 and _decoded(text) is None)
        return
    assert message == _decoded(text)


def _decoded(text: bytes) -> str | None:
    try:
        return codecs.decode(text)
    except UnicodeDecodeError:
        return None


# ---------------------------------------------------------------------- messages

UNDECODABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeError)

FRAMES: Final = (
    b'{"type":"join","ref":1,"topic":"a:1","params":{},"since":"e:1"}',
    b'{"type":"push","topic":"a","payload":',
    b'{"type":"leave","ref":1,"topic":"a"}',
    b'{"type":"ping","ref":1}',
    b'{"type":"said"}',
    b"{",
    b"[" * 2000,
    b"1e999",
    b"9" * 400,
    b'"\\ud800"',
    b"\xff",
)


@target(*FRAMES)
def v1_frame(data: bytes) -> None:
    """A frame of herdwick.v1 decodes, or is refused in the ways that are caught."""
    for decode in (decode_client, decode_server):
        with suppress(*UNDECODABLE):
            decode(data)
        with suppress(*UNDECODABLE):
            decode(data.decode("utf-8", "surrogateescape"))


@target(*FRAMES)
def json(data: bytes) -> None:
    """JSON decodes, or is an `InvalidMessage`."""
    with suppress(InvalidMessage):
        decode_json(data)
    with suppress(InvalidMessage):
        decode_json(data, dict[str, list[int]])


@target(
    b"\x81\xa1a\x01", b"\x91" * 2000, b"\xc1", b"\xdf\xff\xff\xff\xff", b"\xd6\xff", b"\xa1\xff"
)
def msgpack(data: bytes) -> None:
    """MessagePack decodes, or is an `InvalidMessage`."""
    with suppress(InvalidMessage):
        decode_msgpack(data)


@target(b"epoch:1", b":", b"\xd9\xa3", b"9" * 90)
def position(data: bytes) -> None:
    """A position is refused, or is written again as it came."""
    text = data.decode("utf-8", "replace")
    with suppress(InvalidPosition):
        read = Position.parse(text)
        assert Position.parse(str(read)) == read


TOPICS: Final = TopicTable[int](ParamTypes())
for number, name in enumerate(("lobby", "room:{id:int}", "org:{org}:doc:{doc}")):
    TOPICS.add(TopicPattern.read(name, TOPICS.types), number)


@target(b"lobby", b"room:1", b"org:a:doc:b", b":", b"\x00", b"\xed\xa0\x80", b"{}")
def topic(data: bytes) -> None:
    """A topic's name is refused, or is of a kind, or of none; so is the pattern of a kind."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(InvalidTopic):
        check_topic(text)
        TOPICS.find(text)
    with suppress(InvalidPattern, UnknownParameterType):
        TopicPattern.read(text, ParamTypes())


@target(b"main:app", b".", b":", b"src/main.py", b"/", b"\x00")
def command_target(data: bytes) -> None:
    """What a command line names is a module and an attribute, or is corrected."""
    with suppress(MalformedTarget):
        Target.parse(data.decode("utf-8", "replace"))
