"""Paths in, matches out: patterns, parameter types, the table of routes.

General layout, from the bottom up:

* `errors`: what a wrong pattern, a duplicate route or a bad path raises.
* `params`: the types of parameters (`int`, `uuid`, …) and how an application adds its own.
* `pattern`: the text of a route, read once, and the decoding of a request's path.
* `table`: routes in a tree over segments, the most specific one found first.
* `groups`: the prefix of a group of routes.
* `topics`: the names of topics, which have patterns and a table of their own.

Nothing here waits, and nothing is shared between tables.
"""

from herdwick.routing.errors import (
    BadPath,
    DuplicateRoute,
    InvalidParameterType,
    InvalidPattern,
    RoutingError,
    UnknownParameterType,
)
from herdwick.routing.groups import Prefix
from herdwick.routing.params import ParamType, ParamTypes
from herdwick.routing.pattern import Fixed, Parameter, Pattern
from herdwick.routing.table import Match, Table
from herdwick.routing.topics import (
    InvalidTopic,
    TopicMatch,
    TopicPattern,
    TopicTable,
    check_topic,
)

__all__ = [
    "BadPath",
    "DuplicateRoute",
    "Fixed",
    "InvalidParameterType",
    "InvalidPattern",
    "InvalidTopic",
    "Match",
    "ParamType",
    "ParamTypes",
    "Parameter",
    "Pattern",
    "Prefix",
    "RoutingError",
    "Table",
    "TopicMatch",
    "TopicPattern",
    "TopicTable",
    "UnknownParameterType",
    "check_topic",
]
