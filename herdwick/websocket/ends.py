"""What an error that leaves a handler means for its connection: an end, or a crash."""

from collections.abc import Iterator
from typing import Final, cast

from herdwick.actors import Connection, JoinRefused, NotAMember, Phase

from .errors import InvalidMessage, UnexpectedMessage, WebSocketDisconnectError

CLIENTS_DOING: Final = (UnexpectedMessage, InvalidMessage, JoinRefused)
"""What a client alone can cause, while it is connected."""

GONE: Final = (WebSocketDisconnectError, NotAMember)
"""What says that the client, or its membership, is gone."""


def is_end(error: BaseException, connection: Connection) -> bool:
    """Tell whether an error is no crash but an end, and close the connection as it says.

    The disconnect is a normal end. A message that the client should not have sent is its
    mistake, not the program's: 1003 or 1007; so is a join that is refused: 4403, or 1013 where it
    is worth another try. Groups of these, out of task groups, count too.
    """
    if is_crash(error):
        return False
    mistake = next((each for each in _leaves(error) if isinstance(each, CLIENTS_DOING)), None)
    if mistake is None:
        return connection.phase is Phase.OVER
    connection.close_on_fault(_code_for(mistake), str(mistake))
    return True


def is_crash(error: BaseException) -> bool:
    """Tell whether an error is more than what a client does, or its going away."""
    return not all(isinstance(each, (*CLIENTS_DOING, *GONE)) for each in _leaves(error))


def only_disconnects(error: BaseException) -> bool:
    """Tell whether nothing but disconnects ended a handler, its task groups' tasks included."""
    return all(isinstance(each, WebSocketDisconnectError) for each in _leaves(error))


def _code_for(mistake: BaseException) -> int:
    match mistake:
        case UnexpectedMessage():
            return 1003
        case JoinRefused(retry_after=None):
            return 4403
        case JoinRefused():
            return 1013
        case _:
            return 1007


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(each)
    else:
        yield error
