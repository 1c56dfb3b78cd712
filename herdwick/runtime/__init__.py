"""Actors, mailboxes, supervisors; knows no sockets, paths, rooms.

General layout, from the bottom:

    backend                     the few primitives in which asyncio and trio differ
    mailbox, ask, ref, message  how actors are spoken to
    exit, restart               how they end, and what follows: pure
    actor, child                what users write: class and function actors, and their specs
    life, slot                  one incarnation, and the place in the tree that outlives it
    supervisor, dynamic         who starts, restarts and stops them
    timers, registry, events    what all actors of a system share
    system                      the tree as a whole
"""

from .actor import Actor, Context, on
from .ask import Question
from .backend import Clock, Once, Waiter, Waiters, current_clock
from .child import Child
from .dynamic import Dynamic, DynamicSupervision, Pool
from .errors import (
    ActorStopped,
    AskError,
    AskTimeout,
    Crashed,
    ForeignCancellation,
    MailboxFull,
    NotHandled,
    Rejected,
    Restarting,
    RestartLimitReached,
    StartFailed,
    Unanswered,
)
from .events import Event, Events, Exited, GaveUp, Restarted
from .exit import KILLED, NORMAL, SHUTDOWN, Exit
from .life import Body, Life, Policy, Spec
from .mailbox import Mailbox
from .message import Ask, Askable, Message
from .ref import Inlet, Ref
from .restart import Restart, RestartLimit, wants_restart
from .slot import Slot
from .supervisor import Supervisable, Supervisor
from .system import System
from .timers import Timer, Timers

__all__ = [
    "KILLED",
    "NORMAL",
    "SHUTDOWN",
    "Actor",
    "ActorStopped",
    "Ask",
    "AskError",
    "AskTimeout",
    "Askable",
    "Body",
    "Child",
    "Clock",
    "Context",
    "Crashed",
    "Dynamic",
    "DynamicSupervision",
    "Event",
    "Events",
    "Exit",
    "Exited",
    "ForeignCancellation",
    "GaveUp",
    "Inlet",
    "Life",
    "Mailbox",
    "MailboxFull",
    "Message",
    "NotHandled",
    "Once",
    "Policy",
    "Pool",
    "Question",
    "Ref",
    "Rejected",
    "Restart",
    "RestartLimit",
    "RestartLimitReached",
    "Restarted",
    "Restarting",
    "Slot",
    "Spec",
    "StartFailed",
    "Supervisable",
    "Supervisor",
    "System",
    "Timer",
    "Timers",
    "Unanswered",
    "Waiter",
    "Waiters",
    "current_clock",
    "on",
    "wants_restart",
]
