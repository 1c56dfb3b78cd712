"""What an error that leaves a handler means for its connection: an end, or a crash."""

import logging
from collections.abc import Iterator
from typing import Final, cast

from herdwick.actors import Connection, Phase

from .errors import InvalidMessage, UnexpectedMessage, WebSocketDisconnectError

logger: Final = logging.getLogger("herdwick")

CLIENTS_DOING: Final = (UnexpectedMessage, InvalidMessage, WebSocketDisconnectError)
"""What a client alone can cause."""


def is_end(error: BaseException, connection: Connection) -> bool:
    """Tell whether an error is no crash but an end, and close the connection as it says.

    The disconnect is a normal end. A message that the client should not have sent is its
    mistake, not the program's: 1003 or 1007. Groups of these, out of task groups, count too.
    """
    if only_disconnects(error):
        return connection.phase is Phase.OVER
    causes = list(_leaves(error))
    if not all(isinstance(cause, CLIENTS_DOING) for cause in causes):
        return False
    mistake = next(each for each in causes if not isinstance(each, WebSocketDisconnectError))
    logger.info("%s: %s", connection.path, mistake)
    connection.close(1003 if isinstance(mistake, UnexpectedMessage) else 1007, str(mistake))
    return True


def only_disconnects(error: BaseException) -> bool:
    """Tell whether nothing but disconnects ended a handler, its task groups' tasks included."""
    return all(isinstance(each, WebSocketDisconnectError) for each in _leaves(error))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(each)
    else:
        yield error
