"""The model of supervision, checked by hand: cases whose outcome the design states."""

import pytest

from tests.runtime.model import (
    Backoff,
    Branch,
    Crowd,
    Init,
    Model,
    Note,
    Restart,
    Spec,
    Strategy,
    Then,
    Verb,
    Work,
)


class Case:
    """A model of one supervisor, and a short way to drive it and to look at it."""

    def __init__(
        self,
        *children: Spec | Crowd,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        period: float = 5.0,
    ) -> None:
        self._children = {child.name: child for child in children}
        self.model = Model(Branch("root", children, strategy, max_restarts, period))
        self.world = self.model.world
        self.world.settle()
        self._seen = len(self.world.trace)

    def tell(self, name: str, message: Work | Note) -> bool:
        taken = self.model.tell(f"root/{name}", message)
        self.world.settle()
        return taken

    def crash(self, name: str) -> None:
        self.tell(name, Work(then="crash"))

    def plan(self, name: str, *inits: Init) -> None:
        self.world.plans[f"root/{name}"] = list(inits)

    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    def order(self, verb: Verb, name: str) -> None:
        self.model.supervision("root").order(verb, self._children[name], f"root/{name}")
        self.world.settle()

    def stop(self) -> None:
        self.model.root.stop()
        self.world.settle()

    def news(self, *kinds: str) -> list[str]:
        """Give what has happened since the last time, as `a started`; of these kinds only."""
        new, self._seen = self.world.trace[self._seen :], len(self.world.trace)
        told = [(line.who.split()[0].removeprefix("root/"), line.what) for line in new]
        return [f"{who} {what}" for who, what in told if not kinds or what.startswith(kinds)]

    @property
    def states(self) -> dict[str, str]:
        members = self.model.supervision("root").members
        return {member.spec.name: member.state for member in members}


LIFE = ("started", "stopping", "start failed", "start cancelled")


def three(strategy: Strategy, max_restarts: int = 3) -> Case:
    return Case(Spec("a"), Spec("b"), Spec("c"), strategy=strategy, max_restarts=max_restarts)


# ---------------------------------------------------------------------- start and stop


def test_children_start_in_order_and_stop_in_reverse() -> None:
    model = Model(Branch("root", (Spec("a"), Spec("b"))))
    model.world.settle()
    model.root.stop()
    model.world.settle()

    assert [f"{line.who}: {line.what}" for line in model.world.trace] == [
        *("root/a 1: starting", "root/a 1: started", "root/a 1: ready"),
        *("root/b 1: starting", "root/b 1: started", "root/b 1: ready"),
        "root 1: ready",
        *("root/b 1: stopping: shutdown", "root/b 1: stopped", "root/b 1: exited: shutdown"),
        *("root/a 1: stopping: shutdown", "root/a 1: stopped", "root/a 1: exited: shutdown"),
        "root 1: exited: shutdown",
    ]
    assert model.outcome == "stopped"


def test_a_first_start_that_fails_is_not_tried_again() -> None:
    model = Model(Branch("root", (Spec("a"), Spec("b"))))
    model.world.plans["root/b"] = [Init(fails=True)]
    model.world.settle()

    assert model.outcome == "StartFailed"
    assert model.world.trace[-1].who == "root 1"
    assert "root/a 1" in {line.who for line in model.world.trace if line.what == "stopped"}


def test_a_stop_waits_for_the_message_at_hand_within_the_grace() -> None:
    case = Case(Spec("a", grace=2.0), Spec("b", grace=2.0))
    case.tell("a", Work(seconds=1.5))
    case.tell("b", Work(seconds=9.0))
    case.stop()
    case.wait(2.0)

    assert case.news() == [
        *("b work cancelled", "b stopping: killed", "b stopped", "b exited: killed"),
        *("a stopping: shutdown", "a stopped", "a exited: shutdown", "root exited: shutdown"),
    ]
    assert case.model.outcome == "stopped"


def test_a_hook_over_its_deadline_is_cancelled_and_the_reason_is_killed() -> None:
    case = Case(Spec("a", hook=9.0, hook_timeout=1.0))
    case.stop()
    case.wait(1.0)

    assert case.news()[:3] == ["a stopping: shutdown", "a hook cancelled", "a exited: killed"]


def test_a_hook_that_fails_makes_a_crash_of_a_normal_end() -> None:
    case = Case(Spec("a", restart="transient", hook_fails=True))
    case.tell("a", Work(then="quit"))

    assert case.news(*LIFE, "exited") == ["a stopping: normal", "a exited: crash", "a started"]


# ---------------------------------------------------------------------- restarts


@pytest.mark.parametrize(
    ("restart", "then", "state"),
    [
        ("permanent", "crash", "running"),
        ("permanent", "quit", "running"),
        ("transient", "crash", "running"),
        ("transient", "quit", "stopped"),
        ("temporary", "crash", None),
        ("temporary", "quit", None),
    ],
)
def test_the_restart_policy_decides_who_comes_back(
    restart: Restart, then: Then, state: str | None
) -> None:
    case = Case(Spec("a", restart=restart))
    case.tell("a", Work(then=then))

    assert case.states.get("a") == state


@pytest.mark.parametrize(
    ("strategy", "stops", "starts"),
    [
        ("one_for_one", [], ["b"]),
        ("rest_for_one", ["c"], ["b", "c"]),
        ("one_for_all", ["c", "a"], ["a", "b", "c"]),
    ],
)
def test_the_strategy_decides_who_goes_with_it(
    strategy: Strategy, stops: list[str], starts: list[str]
) -> None:
    case = three(strategy)
    case.crash("b")

    assert case.news(*LIFE) == [
        "b stopping: crash",
        *(f"{name} stopping: shutdown" for name in stops),
        *(f"{name} started" for name in starts),
    ]
    assert len(case.model.supervision("root").charged) == 1


@pytest.mark.parametrize(("pause", "gives_up"), [(2.5, True), (2.5625, False)])
def test_a_restart_exactly_a_period_ago_still_counts(pause: float, gives_up: bool) -> None:
    case = Case(Spec("a"), max_restarts=2, period=5.0)
    for _ in range(3):
        case.crash("a")
        case.wait(pause)

    assert (case.model.outcome == "RestartLimitReached") is gives_up


def test_no_restart_allowed_gives_up_at_the_first_and_stops_all_in_reverse() -> None:
    case = three("one_for_one", max_restarts=0)
    case.crash("b")

    assert case.news("gave up", *LIFE) == [
        *("b stopping: crash", "b gave up: 0", "c stopping: shutdown", "a stopping: shutdown"),
    ]
    assert case.model.outcome == "RestartLimitReached"


def test_a_group_restart_forgets_temporary_bystanders_and_revives_those_that_stand() -> None:
    case = Case(Spec("a"), Spec("b", restart="temporary"), Spec("c"), strategy="one_for_all")
    case.order("terminate", "c")
    case.crash("a")

    assert case.states == {"a": "running", "c": "running"}


def test_a_member_that_fails_to_start_is_tried_again_and_charged_again() -> None:
    case = three("rest_for_one", max_restarts=2)
    case.plan("b", Init(fails=True))
    case.crash("a")

    assert case.news(*LIFE) == [
        *("a stopping: crash", "c stopping: shutdown", "b stopping: shutdown"),
        *("a started", "b start failed"),
        *("b started", "c started"),
    ]
    assert len(case.model.supervision("root").charged) == 2


def test_one_for_all_starts_all_again_where_one_fails() -> None:
    case = three("one_for_all")
    case.plan("b", Init(fails=True))
    case.crash("c")

    assert case.news(*LIFE)[3:] == [
        *("a started", "b start failed"),
        *("a stopping: shutdown", "a started", "b started", "c started"),
    ]


@pytest.mark.parametrize(
    ("strategy", "charges"), [("one_for_one", 2), ("rest_for_one", 1), ("one_for_all", 1)]
)
def test_of_two_that_crash_at_once_a_group_restart_absorbs_the_second(
    strategy: Strategy, charges: int
) -> None:
    case = three(strategy)
    for name in ("a", "b"):
        case.model.tell(f"root/{name}", Work(then="crash"))
    case.world.settle()

    assert len(case.model.supervision("root").charged) == charges
    assert set(case.states.values()) == {"running"}


# ---------------------------------------------------------------------- backoff


def test_a_backoff_stops_the_group_at_once_and_starts_it_after_the_wait() -> None:
    slow = Spec("a", backoff=Backoff(min=1.0, max=3.0))
    case = Case(slow, Spec("b"), strategy="one_for_all", max_restarts=0)
    case.crash("a")

    assert case.news(*LIFE) == ["a stopping: crash", "b stopping: shutdown"]
    assert case.states["a"] == "waiting"
    case.wait(1.0)
    assert case.news(*LIFE) == ["a started", "b started"]


def test_a_backoff_grows_to_its_most_and_begins_anew_after_a_stable_run() -> None:
    case = Case(Spec("a", backoff=Backoff(min=1.0, max=3.0, reset_after=10.0)), max_restarts=0)

    for run, delay in [(9.75, 1.0), (9.75, 2.0), (9.75, 3.0), (10.0, 1.0)]:
        case.wait(run)
        case.crash("a")
        case.wait(delay - 0.25)
        assert case.states == {"a": "waiting"}
        case.wait(0.25)
        assert case.states == {"a": "running"}


def test_a_backoff_gives_up_after_its_attempts() -> None:
    case = Case(Spec("a", backoff=Backoff(min=1.0, max=3.0, max_attempts=1)), max_restarts=0)
    case.crash("a")
    case.wait(1.0)
    case.crash("a")

    assert case.model.outcome == "RestartLimitReached"


@pytest.mark.parametrize(("verb", "state"), [("terminate", "stopped"), ("restart", "running")])
def test_an_order_makes_the_wait_for_a_backoff_void(verb: Verb, state: str) -> None:
    case = Case(Spec("a", backoff=Backoff(min=1.0, max=3.0)))
    case.crash("a")
    case.order(verb, "a")
    case.wait(9.0)

    assert case.states == {"a": state}
    assert case.world.slots["root/a"].incarnation == (2 if state == "running" else 1)


# ---------------------------------------------------------------------- orders and messages


def test_a_supervisor_carries_out_orders_as_they_fit_the_state_of_the_child() -> None:
    case = Case(Spec("a"), Spec("b", restart="temporary"))
    orders: list[tuple[Verb, str]] = [
        *(("restart", "a"), ("delete", "a"), ("start", "a")),
        *(("terminate", "a"), ("start", "a"), ("restart", "a")),
        *(("terminate", "a"), ("delete", "a"), ("restart", "a"), ("start", "a")),
        *(("terminate", "b"), ("restart", "b")),
    ]
    for verb, name in orders:
        case.order(verb, name)

    assert case.news("ok", "ChildStands", "NotFound") == [
        *("a ChildStands", "a ChildStands", "a ChildStands"),
        *("a ok", "a ChildStands", "a ok"),
        *("a ok", "a ok", "a NotFound", "a ok"),
        *("b ok", "b NotFound"),
    ]


def test_a_stop_fails_the_orders_that_wait() -> None:
    case = Case(Spec("a"), Spec("b"))
    case.plan("a", Init(seconds=9.0))
    case.crash("a")
    case.order("terminate", "b")
    case.stop()

    assert "b ActorStopped" in case.news()


@pytest.mark.parametrize(("queued", "kept"), [("keep", True), ("drop", False)])
def test_the_policy_decides_whether_a_restart_keeps_what_is_queued(queued: str, kept: bool) -> None:
    case = Case(Spec("a", queued="keep" if queued == "keep" else "drop"))
    case.tell("a", Work(seconds=1.0, then="crash"))
    case.tell("a", Note(1))
    case.wait(1.0)

    assert ("a noted 1" in case.news("noted")) is kept


def test_who_has_stopped_for_good_takes_no_message_and_loses_those_that_wait() -> None:
    case = Case(Spec("a", restart="temporary"))
    case.tell("a", Work(seconds=1.0, then="crash"))
    case.tell("a", Note(1))
    case.wait(1.0)

    assert not case.tell("a", Note(2))
    assert case.news("noted", "lost") == ["a lost 1", "a lost 2"]


# ---------------------------------------------------------------------- dynamic supervisors


def started(crowd: Crowd, *names: str) -> Case:
    """Make a case with some children, whose names stand for their paths."""
    case = Case(crowd, max_restarts=0)
    for name in names:
        case.model.pool("root/crowd").start(Spec(name, restart=crowd.child.restart), name)
    case.world.settle()
    case.news()
    return case


def test_one_bad_child_of_a_pool_takes_no_other_down() -> None:
    case = started(Crowd("crowd", Spec("any", restart="permanent"), max_restarts=1), "x", "y")
    for _ in range(2):
        case.crash("crowd/x")

    assert case.news("gave up", "started") == ["crowd/x started", "crowd/x gave up: 1"]
    assert [member.spec.name for member in case.model.pool("root/crowd").members] == ["y"]


def test_a_pool_with_one_budget_gives_up_as_a_whole() -> None:
    crowd = Crowd("crowd", Spec("any", restart="permanent"), max_restarts=1, budget="pool")
    case = started(crowd, "x", "y")
    for name in ("crowd/x", "crowd/y"):
        case.crash(name)

    assert case.model.outcome == "RestartLimitReached"


def test_children_of_a_pool_stop_at_once_each_within_its_own_times() -> None:
    case = started(Crowd("crowd", Spec("any")), "x", "y")
    for name, seconds in (("x", 2.0), ("y", 1.0)):
        case.tell(f"crowd/{name}", Work(seconds=seconds))
    case.stop()
    case.wait(2.0)

    assert case.news("stopping") == ["crowd/y stopping: shutdown", "crowd/x stopping: shutdown"]
    assert case.model.outcome == "stopped"
