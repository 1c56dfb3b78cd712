"""Ready-made actors: connections, topics, rooms. They know the runtime, and no HTTP, ASGI or paths.

General layout:

    transport             what carries a connection, and what its messages go to: protocols
    closing               what a close frame may say
    inbox                 the messages of a peer that nobody has read yet
    rate                  how often something may happen
    connection            the actor: the handler is its body, the port is for everybody else

    log                   what was published on a topic, and where; in memory, behind a protocol
    slow, left, refusals  policies for slow members, how a membership ends, why one does not begin
    presence              who is present, derived from the members
    wire                  how members hear of a topic: a protocol
    member                one membership, and how far it has heard
    topic, pump           a topic as data, and its actor
    room, hall            what users write, and the topic of a room, where its errands wait
    joining               from a connection to a membership
    realtime              the owner of all topics, and their branch of the tree
"""

from .closing import (
    IllegalCloseCode,
    InvalidText,
    check_close_code,
    check_text,
    clip_reason,
    is_legal_close_code,
    retry_after,
)
from .connection import Behaviour, Close, Connection, Ending, MeteredConnection, Phase, Send
from .hall import Hall
from .joining import Authorize, Joining, Membership, everyone, hall_of
from .left import Left, LeftKind
from .log import (
    KEY_WINDOW,
    GapReason,
    History,
    InvalidPosition,
    Log,
    MemoryLog,
    MemoryStore,
    Position,
    Publication,
    Recovery,
    Store,
)
from .member import Member, Params, Principal
from .presence import PresenceDiff, PresenceOptions, Present
from .rate import Bucket, Rate
from .realtime import Realtime
from .refusals import (
    AlreadyJoined,
    HandlerFailed,
    InvalidParams,
    JoinFailed,
    JoinRefused,
    NotAMember,
    RoomFull,
    RoomUnavailable,
    TooManyTopics,
    UnknownTopic,
)
from .room import Presence, Push, Room, from_member, ids_of
from .slow import CatchUp, Conflate, Disconnect, Slow
from .topic import Identified, Topic, TopicKind
from .transport import Bounds, Data, RawHeaders, Receiver, Shared, Transport, size_of
from .wire import Greeting, Wire

__all__ = [
    "KEY_WINDOW",
    "AlreadyJoined",
    "Authorize",
    "Behaviour",
    "Bounds",
    "Bucket",
    "CatchUp",
    "Close",
    "Conflate",
    "Connection",
    "Data",
    "Disconnect",
    "Ending",
    "GapReason",
    "Greeting",
    "Hall",
    "HandlerFailed",
    "History",
    "Identified",
    "IllegalCloseCode",
    "InvalidParams",
    "InvalidPosition",
    "InvalidText",
    "JoinFailed",
    "JoinRefused",
    "Joining",
    "Left",
    "LeftKind",
    "Log",
    "Member",
    "Membership",
    "MemoryLog",
    "MemoryStore",
    "MeteredConnection",
    "NotAMember",
    "Params",
    "Phase",
    "Position",
    "Presence",
    "PresenceDiff",
    "PresenceOptions",
    "Present",
    "Principal",
    "Publication",
    "Push",
    "Rate",
    "RawHeaders",
    "Realtime",
    "Receiver",
    "Recovery",
    "Room",
    "RoomFull",
    "RoomUnavailable",
    "Send",
    "Shared",
    "Slow",
    "Store",
    "TooManyTopics",
    "Topic",
    "TopicKind",
    "Transport",
    "UnknownTopic",
    "Wire",
    "check_close_code",
    "check_text",
    "clip_reason",
    "everyone",
    "from_member",
    "hall_of",
    "ids_of",
    "is_legal_close_code",
    "retry_after",
    "size_of",
]
