"""Actors, mailboxes, supervisors; knows no sockets, paths, rooms.

General layout, from the bottom:

    backend                     the few primitives in which asyncio and trio differ
    mailbox, ask, ref, message  how actors are spoken to
    exit, monitors, letters     how they end, who hears of it, and what reached nobody
    restart, backoff, policy    what follows an end: pure decisions, and what they rest on
    actor, handlers, child      what users write: class and function actors, and their specs
    body, schedule, helper      what actors do, their timers, and their helper tasks
    roles                       what a life needs of those around it
    life, slot                  one incarnation, and the place in the tree that outlives it
    supervisor, supervision     declared children: the spec, and the loop that runs it
    dynamic, pool               children that come and go: the specs, and what runs them
    timers, registry, events    what all actors of a system share
    logs                        what becomes of each line of the log
    system, tree                the tree as a whole, and its snapshots
    watchdog                    finds what blocks the event loop
"""

from .actor import Actor, Context
from .ask import LATER, Answer, Later, Place, Question, Reply, answered
from .backend import Clock, Once, Waiter, Waiters, checkpoint, current_clock
from .backoff import Backoff
from .body import ActorBody
from .child import Child
from .dynamic import Budget, Dynamic, Pool
from .errors import (
    ActorStopped,
    AskError,
    AskTimeout,
    ChildStands,
    Crashed,
    Deadlock,
    Expired,
    ForeignCancellation,
    MailboxFull,
    NoReply,
    NotFound,
    NotHandled,
    Rejected,
    Restarting,
    RestartLimitReached,
    StartFailed,
    TooManyChildren,
    Unanswered,
)
from .events import (
    Blocked,
    DeadLetter,
    Event,
    Events,
    Exited,
    Fate,
    GaveUp,
    Restarted,
    Started,
    Stuck,
)
from .exit import KILLED, NOPROC, NORMAL, SHUTDOWN, Exit
from .handlers import Handler, Mark, marked, marks_of, on, wants_value
from .life import Life
from .logs import FIELDS, LOGGERS, LogFilter
from .mailbox import Mailbox, Signal
from .message import Ask, Askable, Message
from .monitors import Down, Monitor, watch
from .policy import Overflow, Policy, PolicyOptions, Queued
from .pool import PoolSupervision
from .ref import Inlet, Ref, slot_of
from .restart import Restart, RestartLimit, Strategy, restart_group, wants_restart
from .roles import Body, Owner, Spec
from .slot import Slot, State
from .supervisor import Supervisable, Supervisor
from .system import OnStuck, System
from .timers import Timer, Timers
from .tree import ChildCounts, ChildInfo, Kind, Node, Statistics
from .watchdog import Watchdog

__all__ = [
    "FIELDS",
    "KILLED",
    "LATER",
    "LOGGERS",
    "NOPROC",
    "NORMAL",
    "SHUTDOWN",
    "Actor",
    "ActorBody",
    "ActorStopped",
    "Answer",
    "Ask",
    "AskError",
    "AskTimeout",
    "Askable",
    "Backoff",
    "Blocked",
    "Body",
    "Budget",
    "Child",
    "ChildCounts",
    "ChildInfo",
    "ChildStands",
    "Clock",
    "Context",
    "Crashed",
    "DeadLetter",
    "Deadlock",
    "Down",
    "Dynamic",
    "Event",
    "Events",
    "Exit",
    "Exited",
    "Expired",
    "Fate",
    "ForeignCancellation",
    "GaveUp",
    "Handler",
    "Inlet",
    "Kind",
    "Later",
    "Life",
    "LogFilter",
    "Mailbox",
    "MailboxFull",
    "Mark",
    "Message",
    "Monitor",
    "NoReply",
    "Node",
    "NotFound",
    "NotHandled",
    "OnStuck",
    "Once",
    "Overflow",
    "Owner",
    "Place",
    "Policy",
    "PolicyOptions",
    "Pool",
    "PoolSupervision",
    "Question",
    "Queued",
    "Ref",
    "Rejected",
    "Reply",
    "Restart",
    "RestartLimit",
    "RestartLimitReached",
    "Restarted",
    "Restarting",
    "Signal",
    "Slot",
    "Spec",
    "StartFailed",
    "Started",
    "State",
    "Statistics",
    "Strategy",
    "Stuck",
    "Supervisable",
    "Supervisor",
    "System",
    "Timer",
    "Timers",
    "TooManyChildren",
    "Unanswered",
    "Waiter",
    "Waiters",
    "Watchdog",
    "answered",
    "checkpoint",
    "current_clock",
    "marked",
    "marks_of",
    "on",
    "restart_group",
    "slot_of",
    "wants_restart",
    "wants_value",
    "watch",
]
