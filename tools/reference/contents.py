"""Which page of the reference holds which public name, in which order.

A name that an outer package has too, and means something else by, stands with its own package:
`client.Room`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """Names that a reader looks for in one place."""

    title: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    file: str
    title: str
    text: str
    groups: tuple[Group, ...]


MODULES = {
    "herdwick": "What applications need.",
    "herdwick.websocket": "The application, the WebSocket, HTTP and authentication.",
    "herdwick.testing": "What applications are tested with.",
    "herdwick.runtime": "Actors and supervisors, down to their parts.",
    "herdwick.server": "How bytes travel: our own server, and what runs applications.",
    "herdwick.actors": "Connections, topics and rooms, for those who carry them another way.",
    "herdwick.routing": "Paths and names of topics in, matches out.",
    "herdwick.client": "The client of rooms in Python, for tests and services.",
    "herdwick.protocol": "The frames of herdwick.v1, for those who write a client.",
}
"""The packages, the outermost first: a name that several export is imported from the first."""

GIVEN = frozenset(
    {
        "Context",
        "Listener",
        "Member",
        "Membership",
        "Monitor",
        "Presence",
        "Ref",
        "Reply",
        "Routes",
        "TestWebSocket",
        "Timer",
        "Users",
        "WebSocket",
        "client.Messages",
        "client.Room",
    }
)
"""What users are given and never make: the reference leaves their constructors out."""

PAGES = (
    Page(
        "application.md",
        "Applications",
        "What a project is made of, and what serves it.",
        (
            Group(
                "The application",
                ("Application", "Routes", "Limits", "Rate", "RouteLimits", "NotRunning"),
            ),
            Group(
                "Middlewares and ASGI",
                (
                    "Middleware",
                    "Next",
                    "ASGIApp",
                    "Scope",
                    "ASGIReceive",
                    "ASGISend",
                    "InvalidOrigin",
                ),
            ),
            Group(
                "Running it",
                (
                    "run",
                    "serve",
                    "PortInUse",
                    "CannotListen",
                    "CertificateUnusable",
                    "NotAnApplication",
                ),
            ),
            Group("The server", ("listen", "Listener", "Served", "descriptor_limit")),
        ),
    ),
    Page(
        "websocket.md",
        "WebSockets",
        "One client's connection, and what can go wrong with it.",
        (
            Group("The WebSocket", ("WebSocket", "WebSocketState", "MessageMode", "Send", "Close")),
            Group(
                "Errors of WebSockets",
                (
                    "WebSocketError",
                    "WebSocketDisconnectError",
                    "InvalidWebSocketStateError",
                    "ConcurrentReceive",
                    "UnexpectedMessage",
                    "InvalidMessage",
                ),
            ),
            Group("What cannot be sent", ("NotEncodable", "IllegalCloseCode", "InvalidText")),
        ),
    ),
    Page(
        "rooms.md",
        "Rooms and topics",
        "Who is together, what they have said, and what happens to it.",
        (
            Group("Rooms", ("Room", "from_member", "Params", "RoomMisdeclared")),
            Group("Members", ("Member", "Membership", "Principal", "Left", "LeftKind", "everyone")),
            Group("What a topic keeps", ("History", "Position", "GapReason", "InvalidPosition")),
            Group("Slow members", ("Disconnect", "CatchUp", "Conflate", "Slow")),
            Group("Who is present", ("Presence", "PresenceOptions", "PresenceDiff", "Present")),
            Group("Whose connections", ("Users",)),
            Group(
                "Why a join is refused",
                (
                    "JoinRefused",
                    "UnknownTopic",
                    "InvalidParams",
                    "JoinFailed",
                    "AlreadyJoined",
                    "TooManyTopics",
                    "RoomUnavailable",
                ),
            ),
            Group("What a push can come to", ("HandlerFailed", "RoomFull", "NotAMember")),
        ),
    ),
    Page(
        "clients.md",
        "The client in Python",
        "Rooms over one connection, which comes back by itself.",
        (
            Group(
                "The client",
                ("Client", "client.Room", "Messages", "Options", "Token", "JAVASCRIPT"),
            ),
            Group(
                "What a member is told",
                (
                    "client.Event",
                    "client.Message",
                    "Gap",
                    "client.GapReason",
                    "PresenceChanged",
                    "Rejoined",
                    "Metas",
                ),
            ),
            Group(
                "Errors of the client",
                (
                    "Refused",
                    "NotSent",
                    "SendTimeout",
                    "ConnectionLost",
                    "AnswerTimeout",
                    "MembershipEnded",
                    "client.NotRunning",
                ),
            ),
            Group(
                "Why it does not come back",
                (
                    "client.GaveUp",
                    "StayedAway",
                    "HandshakeRefused",
                    "ProtocolMismatch",
                    "Untrusted",
                    "NoToken",
                    "Unreachable",
                ),
            ),
        ),
    ),
    Page(
        "http.md",
        "HTTP",
        "Requests, which handshakes are too, and their answers.",
        (
            Group("Requests", ("Request", "Headers", "Query")),
            Group("Answers", ("Response", "HTTPError", "StaticFiles", "InvalidHeader")),
            Group(
                "Ways to answer",
                (
                    "json",
                    "text",
                    "html",
                    "file",
                    "stream",
                    "redirect",
                    "status_code",
                    "ok",
                    "created",
                    "accepted",
                    "no_content",
                    "bad_request",
                    "unauthorized",
                    "forbidden",
                    "not_found",
                ),
            ),
        ),
    ),
    Page(
        "handlers.md",
        "Binding and authentication",
        "Where a handler's arguments come from, and who may call it.",
        (
            Group(
                "Binding",
                (
                    "FromQuery",
                    "FromHeader",
                    "FromCookie",
                    "FromJSON",
                    "FromText",
                    "FromBytes",
                    "BindingError",
                ),
            ),
            Group(
                "Authentication",
                (
                    "auth",
                    "allow_anonymous",
                    "Identity",
                    "JWTBearer",
                    "token_from_header",
                    "token_from_subprotocol",
                    "token_from_cookie",
                    "token_from_query",
                    "AuthNotConfigured",
                ),
            ),
        ),
    ),
    Page(
        "actors.md",
        "Actors",
        "What acts, and what actors say to each other.",
        (
            Group("What acts", ("Actor", "on", "Context")),
            Group(
                "What they say",
                ("Message", "Ask", "Askable", "Ref", "Reply", "Later", "LATER"),
            ),
            Group(
                "Watching",
                ("watch", "Monitor", "Down", "Exit", "NORMAL", "SHUTDOWN", "KILLED", "NOPROC"),
            ),
            Group(
                "Errors of asking",
                (
                    "AskError",
                    "NotHandled",
                    "ActorStopped",
                    "Restarting",
                    "NotFound",
                    "MailboxFull",
                    "Expired",
                    "Unanswered",
                    "Crashed",
                    "AskTimeout",
                    "NoReply",
                    "Deadlock",
                    "Rejected",
                ),
            ),
        ),
    ),
    Page(
        "supervision.md",
        "Supervision",
        "Who starts actors, and what follows when they end.",
        (
            Group("The tree", ("System", "Supervisor", "Child", "Dynamic", "Pool", "Supervisable")),
            Group(
                "What a supervisor does with a child",
                (
                    "Policy",
                    "PolicyOptions",
                    "Restart",
                    "Backoff",
                    "Overflow",
                    "Queued",
                    "Strategy",
                    "Budget",
                    "OnStuck",
                ),
            ),
            Group(
                "What can be seen of it",
                ("ChildInfo", "ChildCounts", "Statistics", "Node", "State", "Kind"),
            ),
            Group(
                "What happens",
                (
                    "Events",
                    "Event",
                    "Started",
                    "Exited",
                    "Restarted",
                    "GaveUp",
                    "Stuck",
                    "DeadLetter",
                    "Fate",
                    "Blocked",
                    "Watchdog",
                ),
            ),
            Group("Its log", ("LogFilter", "LOGGERS", "FIELDS")),
            Group(
                "Errors of supervision",
                (
                    "StartFailed",
                    "TooManyChildren",
                    "RestartLimitReached",
                    "ChildStands",
                    "ForeignCancellation",
                ),
            ),
        ),
    ),
    Page(
        "runtime.md",
        "Parts of the runtime",
        "What actors and supervisors are made of, and other kinds of actors can be made of.",
        (
            Group(
                "One actor",
                ("Spec", "Body", "Life", "Slot", "slot_of", "Owner", "Place", "Inlet"),
            ),
            Group(
                "Its handlers",
                (
                    "ActorBody",
                    "Mark",
                    "marked",
                    "marks_of",
                    "Handler",
                    "answered",
                    "wants_value",
                ),
            ),
            Group("Its mailbox", ("Mailbox", "Signal", "Question", "Answer")),
            Group(
                "Its supervisor",
                ("PoolSupervision", "RestartLimit", "restart_group", "wants_restart"),
            ),
            Group(
                "Time and waiting",
                (
                    "Timer",
                    "Timers",
                    "Clock",
                    "current_clock",
                    "checkpoint",
                    "Once",
                    "Waiter",
                    "Waiters",
                ),
            ),
        ),
    ),
    Page(
        "testing.md",
        "Testing",
        "The client in memory, the harness of actors, and time that jumps.",
        (
            Group(
                "Applications",
                ("TestClient", "TestWebSocket", "ClientResponse", "Rejection", "HandlerStillRuns"),
            ),
            Group(
                "Actors under test",
                (
                    "Harness",
                    "Probe",
                    "Asked",
                    "Unmet",
                    "Leaked",
                    "crash",
                    "ExpectedCrash",
                    "NoCrash",
                    "StillDown",
                    "UnexpectedCrash",
                ),
            ),
            Group("Stores", ("StoreContract",)),
            Group(
                "Time",
                ("settle", "virtual_backend", "VIRTUAL_BACKENDS", "VirtualTimeLoop", "Backend"),
            ),
        ),
    ),
    Page(
        "connections.md",
        "Connections",
        "The actor behind a WebSocket, for those who carry one another way.",
        (
            Group(
                "The connection",
                (
                    "Connection",
                    "MeteredConnection",
                    "Behaviour",
                    "Bounds",
                    "Bucket",
                    "Phase",
                    "Ending",
                ),
            ),
            Group(
                "The transport",
                ("Transport", "Receiver", "Data", "Shared", "RawHeaders", "size_of"),
            ),
            Group(
                "Close frames",
                (
                    "check_close_code",
                    "is_legal_close_code",
                    "check_text",
                    "clip_reason",
                    "retry_after",
                ),
            ),
        ),
    ),
    Page(
        "topics.md",
        "Parts of topics",
        "What topics are made of, for those who keep logs elsewhere or speak another protocol.",
        (
            Group(
                "The log",
                (
                    "Store",
                    "Log",
                    "Publication",
                    "Recovery",
                    "MemoryStore",
                    "MemoryLog",
                    "KEY_WINDOW",
                ),
            ),
            Group("The wire", ("Wire", "Greeting")),
            Group(
                "Topics and their owner",
                ("Realtime", "Topic", "TopicKind", "Identified", "Hall", "hall_of", "ids_of"),
            ),
            Group("Joins and pushes", ("Joining", "Authorize", "Push")),
        ),
    ),
    Page(
        "routing.md",
        "Routing",
        "Paths in, matches out; it waits for nothing, and knows neither HTTP nor sockets.",
        (
            Group(
                "Patterns",
                ("ParamTypes", "ParamType", "Pattern", "Fixed", "Parameter", "Prefix"),
            ),
            Group("Routes by method and path", ("Table", "Match")),
            Group(
                "Names of topics",
                ("TopicPattern", "TopicTable", "TopicMatch", "check_topic", "InvalidTopic"),
            ),
            Group(
                "Errors of routing",
                (
                    "RoutingError",
                    "InvalidPattern",
                    "InvalidParameterType",
                    "UnknownParameterType",
                    "DuplicateRoute",
                    "BadPath",
                ),
            ),
        ),
    ),
    Page(
        "frames.md",
        "The frames of herdwick.v1",
        "What travels between clients and rooms, as structs; "
        "[the protocol in words](herdwick-v1.md).",
        (
            Group(
                "Reading and writing", ("SUBPROTOCOL", "encode", "decode_client", "decode_server")
            ),
            Group(
                "What clients send",
                ("ClientFrame", "Join", "Leave", "protocol.Push", "Refresh", "Ping"),
            ),
            Group(
                "What the server sends",
                (
                    "ServerFrame",
                    "Joined",
                    "protocol.Publication",
                    "Moved",
                    "protocol.Gap",
                    "protocol.Presence",
                    "protocol.Left",
                    "protocol.Reply",
                    "protocol.Refused",
                    "Error",
                ),
            ),
            Group(
                "Why something is refused",
                (
                    "UNKNOWN_TOPIC",
                    "INVALID_TOPIC",
                    "INVALID_POSITION",
                    "INVALID_MESSAGE",
                    "TOO_MANY_TOPICS",
                    "TOO_FAST",
                    "ALREADY_JOINED",
                    "NOT_JOINED",
                    "FORBIDDEN",
                    "REJECTED",
                    "FAILED",
                    "CRASHED",
                    "TIMEOUT",
                    "FULL",
                    "UNAVAILABLE",
                ),
            ),
        ),
    ),
)
