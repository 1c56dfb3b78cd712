"""A real supervisor and the model of it are driven side by side, and must never differ.

`HERDWICK_MACHINE` in the environment is how many times as many examples as usual are tried, and
others each time. Without it each run tries the same; on CI half of them, and other interpreters
than the main one a third.
"""

import os
import sys
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from herdwick.testing import VIRTUAL_BACKENDS
from tests.runtime.driver import Driver, Info, Way
from tests.runtime.model import (
    Backoff,
    Branch,
    Crowd,
    Init,
    Line,
    Model,
    Note,
    Restart,
    Spec,
    Strategy,
    Then,
    Verb,
    Work,
)
from tests.support.programs import on_ci

USUAL: Final = "1" if not on_ci() else "0.5" if sys.version_info[:2] == (3, 11) else "0.3"
EXAMPLES: Final = int(75 * float(os.environ.get("HERDWICK_MACHINE", USUAL)))
STEPS: Final = 50
PAUSE: Final = 2.0**-18
"""What passes after each step, so that no two things fall due at once by chance."""

OWN: Final = 2.0**-7
"""What the durations of one actor differ by from those of another. All are exact in a float."""

BRANCH: Final = "root/branch"
CROWD: Final = "root/crowd"

RESTARTS: Final[tuple[Restart, ...]] = ("permanent", "transient", "temporary")
STRATEGIES: Final[tuple[Strategy, ...]] = ("one_for_one", "rest_for_one", "one_for_all")
VERBS: Final[tuple[Verb, ...]] = ("restart", "terminate", "delete")
THENS: Final[tuple[Then, ...]] = ("", "crash", "quit")
WAYS: Final[tuple[Way, ...]] = ("end", "cancel", "cancel natively")

ACTS: Final = {
    *("starting", "started", "start failed", "start cancelled"),
    *("stopping: shutdown", "exited: shutdown", "stopping: killed", "exited: killed"),
}
"""What is to be seen of a supervisor's own doings, which are in order."""

Views: TypeAlias = defaultdict[str, list[Line]]


def views(trace: Sequence[Line]) -> Views:
    """Take a trace apart into what is in order: each life, each order, each supervisor."""
    views: Views = defaultdict(list)
    for line in trace:
        views["lost" if line.what.startswith("lost") else line.who].append(line)
        if line.what in ACTS and line.who.startswith(BRANCH):
            views["supervisor"].append(line)
    views["lost"].sort()
    return views


indices = st.integers(0, 9)
seconds = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])
inits = st.builds(Init, seconds=st.sampled_from([0.0, 0.0, 0.25, 0.75, 3.0]), fails=st.booleans())
backoffs = st.builds(
    Backoff,
    min=st.sampled_from([0.25, 1.0]),
    max=st.sampled_from([1.5, 4.0]),
    reset_after=st.sampled_from([2.0, 10.0]),
    max_attempts=st.sampled_from([None, 0, 1, 3]),
)
maybe_backoffs = st.none() | st.none() | backoffs


@st.composite
def specs(draw: st.DrawFn, number: int) -> Spec:
    """Draw an actor, none of whose times is another one's."""
    own = number * OWN
    return Spec(
        f"c{number}",
        restart=draw(st.sampled_from(RESTARTS)),
        backoff=draw(maybe_backoffs),
        grace=draw(st.sampled_from([0.25 + own, 1.0 + own, float("inf")])),
        start_timeout=2.0 + own,
        hook_timeout=1.0 + own,
        hook=draw(st.sampled_from([0.0, 0.0, 0.0, 0.5 + own, 1.5 + own])),
        hook_fails=draw(st.sampled_from([False, False, False, True])),
        queued=draw(st.sampled_from(["keep", "keep", "drop"])),
    )


@st.composite
def branches(draw: st.DrawFn) -> Branch:
    size = draw(st.integers(1, 5))
    return Branch(
        "branch",
        tuple(draw(specs(number)) for number in range(size)),
        strategy=draw(st.sampled_from(STRATEGIES)),
        max_restarts=draw(st.sampled_from([0, 1, 2, 3, 5])),
        period=draw(st.sampled_from([1.0, 2.0, 4.0])),
    )


crowds = st.builds(
    Crowd,
    st.just("crowd"),
    specs(0).filter(lambda spec: spec.hook < spec.hook_timeout),
    max_children=st.sampled_from([None, 3]),
    max_restarts=st.sampled_from([0, 1, 2, 3]),
    period=st.sampled_from([1.0, 2.0, 4.0]),
    budget=st.sampled_from(["child", "pool"]),
)


class Machine(RuleBasedStateMachine):
    """A system and a model of it, and what may befall both."""

    backend = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self.driver: Driver | None = None
        self.compared = 0
        self.counted = 0
        self.agrees = True

    def begin(self, root: Branch) -> None:
        self.model = Model(root)
        self.driver = Driver(self.backend, root, PAUSE)
        self.compare()

    @property
    @abstractmethod
    def paths(self) -> list[str]:
        """The paths of all actors, gone ones too."""

    @property
    @abstractmethod
    def charged(self) -> list[float]:
        """When restarts were charged to a budget."""

    @property
    @abstractmethod
    def period(self) -> float:
        """The period of the budget."""

    @abstractmethod
    def compare_states(self) -> None:
        """See to it that what is to be seen of the children is the same."""

    # ------------------------------------------------------------------ comparing

    @property
    def real(self) -> Driver:
        assert self.driver is not None
        return self.driver

    @property
    def up(self) -> bool:
        """Whether the system has started, and not yet ended."""
        return self.model.root.acknowledged and not self.model.outcome

    @property
    def idle(self) -> list[str]:
        """The paths of those actors that run and have nothing to do."""
        if not self.up:
            return []
        workers = {path: self.model.worker(path) for path in self.paths}
        return [path for path, worker in workers.items() if worker is not None and worker.idle]

    def compare(self) -> None:
        """See to it that the same has happened to both since the last time."""
        self.agrees = False
        self.model.world.settle()
        self.model.world.pass_time(PAUSE)
        real = views(self.real.trace[self.compared :])
        expected = views(self.model.world.trace[self.compared :])
        for who in sorted({*real, *expected}):
            assert real[who] == expected[who], who
        self.compared = len(self.model.world.trace)
        assert self.real.outcome == self.model.outcome
        if self.up:
            self.compare_states()
        self.agrees = True

    def count(self) -> int:
        self.counted += 1
        return self.counted

    def moment(self, seconds: float) -> float:
        """Make a duration one of its own, for those that begin together."""
        return seconds + (self.count() + 0.5) * 2.0**-10 if seconds else 0.0

    def tell_one(self, index: int, work: Work) -> None:
        """Tell something to one that handles it at once."""
        path = self.idle[index % len(self.idle)]
        self.model.tell(path, work)
        assert self.real.tell(path, work)
        self.compare()

    def spend(self, seconds: float) -> None:
        self.agrees = False
        self.model.world.pass_time(seconds)
        self.real.pass_time(seconds)
        self.compare()

    def teardown(self) -> None:
        if self.driver is None:
            return
        try:
            if self.agrees:
                if not self.model.outcome:
                    self.end("cancel")
                self.spend(1000.0)
                assert self.model.outcome
        finally:
            left_behind = self.driver.close()
        assert left_behind == 0 or not self.agrees

    # ------------------------------------------------------------------ what happens

    @rule(seconds=seconds)
    def let_time_pass(self, seconds: float) -> None:
        self.spend(seconds)

    @precondition(lambda self: self.idle)
    @rule(index=indices)
    def crash(self, index: int) -> None:
        self.tell_one(index, Work(then="crash"))

    @precondition(lambda self: self.idle)
    @rule(index=indices)
    def quit(self, index: int) -> None:
        self.tell_one(index, Work(then="quit"))

    @precondition(lambda self: self.idle)
    @rule(index=indices, seconds=seconds, then=st.sampled_from(THENS))
    def work(self, index: int, seconds: float, then: Then) -> None:
        self.tell_one(index, Work(seconds, then))

    @precondition(lambda self: self.charged)
    @rule(index=indices)
    def let_time_pass_to_the_edge_of_the_period(self, index: int) -> None:
        end = self.charged[index % len(self.charged)] + self.period
        if end - self.model.world.now > PAUSE:
            self.spend(end - self.model.world.now - PAUSE)

    @precondition(lambda self: len(self.idle) > 1)
    @rule(one=indices, other=indices)
    def crash_two_at_once(self, one: int, other: int) -> None:
        first = self.idle[one % len(self.idle)]
        others = [path for path in self.idle if path != first]
        paths = (first, others[other % len(others)])
        crash = Work(then="crash")
        self.real.tell_at_once(*((path, crash) for path in paths))
        # Which of them is the first is up to the event loop.
        who = [line.who.split()[0] for line in self.real.trace[self.compared :]]
        for path in sorted(paths, key=who.index):
            self.model.tell(path, crash)
        self.compare()

    @precondition(lambda self: self.up and self.paths)
    @rule(index=indices)
    def tell(self, index: int) -> None:
        path, message = self.paths[index % len(self.paths)], Note(self.count())
        assert self.real.tell(path, message) == self.model.tell(path, message)
        self.compare()

    @precondition(lambda self: not self.model.outcome)
    @rule(way=st.sampled_from(WAYS), rarely=st.integers(0, 4))
    def leave(self, way: Way, rarely: int) -> None:
        if rarely == 4:
            self.end(way)

    def end(self, way: Way) -> None:
        if way == "cancel natively" and self.backend == "trio":
            way = "cancel"  # only asyncio knows the other
        if way == "end" and not self.up:
            way = "cancel"  # there is no block yet that could end
        self.model.root.stop()
        self.real.leave(way)
        self.compare()


class BranchMachine(Machine):
    """A supervisor of declared children, under a root that restarts it, or does not."""

    @initialize(branch=branches(), patience=st.sampled_from([0, 1000]))
    def begin_branch(self, branch: Branch, patience: int) -> None:
        self.branch = branch
        self.specs = [each for each in branch.children if isinstance(each, Spec)]
        self.begin(Branch("root", (branch,), max_restarts=patience))

    @property
    def paths(self) -> list[str]:
        return [f"{BRANCH}/{spec.name}" for spec in self.specs]

    @property
    def charged(self) -> list[float]:
        return self.model.supervision(BRANCH).charged if self.up else []

    @property
    def period(self) -> float:
        return self.branch.period

    def spec(self, index: int) -> Spec:
        return self.specs[index % len(self.specs)]

    def compare_states(self) -> None:
        branch = self.model.supervision(BRANCH)
        if branch.state == "running":
            real = self.real.infos(BRANCH)
            assert real == [
                Info(member.slot.path, member.state, member.slot.incarnation)
                for member in branch.members
            ]

    @rule(index=indices, plan=st.lists(inits, min_size=1, max_size=3))
    def plan(self, index: int, plan: list[Init]) -> None:
        plan = [replace(init, seconds=self.moment(init.seconds)) for init in plan]
        path = self.paths[index % len(self.paths)]
        self.model.world.plans[path] = plan.copy()
        self.real.plan(path, plan)

    @precondition(lambda self: self.up)
    @rule(index=indices, verb=st.sampled_from(VERBS))
    def order(self, index: int, verb: Verb) -> None:
        self.give_order(verb, self.spec(index))

    @precondition(lambda self: self.up)
    @rule(index=indices)
    def start_again(self, index: int) -> None:
        self.give_order("start", self.spec(index))

    @precondition(lambda self: self.up and len(self.specs) < 8)
    @rule(data=st.data())
    def start_another(self, data: st.DataObject) -> None:
        self.specs.append(data.draw(specs(len(self.specs))))
        self.give_order("start", self.specs[-1])

    def give_order(self, verb: Verb, spec: Spec) -> None:
        name = f"order{self.count()}"
        self.model.supervision(BRANCH).order(verb, spec, name)
        self.real.order(verb, BRANCH, spec, name)
        self.compare()


class CrowdMachine(Machine):
    """A dynamic supervisor, under a root that restarts it, or does not."""

    @initialize(crowd=crowds, patience=st.sampled_from([0, 1000]))
    def begin_crowd(self, crowd: Crowd, patience: int) -> None:
        self.crowd = crowd
        self.started: list[str] = []
        self.begin(Branch("root", (crowd,), max_restarts=patience))

    @property
    def paths(self) -> list[str]:
        return [path for path in self.started if self.real.knows(path)]

    @property
    def charged(self) -> list[float]:
        if not self.up:
            return []
        pool = self.model.pool(CROWD)
        return pool.charged + [each for member in pool.members for each in member.restarted_at]

    @property
    def period(self) -> float:
        return self.crowd.period

    def compare_states(self) -> None:
        pool = self.model.pool(CROWD)
        if pool.state == "running":
            real = sorted(self.real.infos(CROWD))
            assert real == sorted(
                Info(member.slot.path, member.state, member.slot.incarnation)
                for member in pool.members
            )

    @precondition(lambda self: self.up)
    @rule(plan=st.lists(inits, max_size=2))
    def start(self, plan: list[Init]) -> None:
        plan = [replace(init, seconds=self.moment(init.seconds)) for init in plan]
        number = self.count()
        hook = self.moment(self.crowd.child.hook)
        spec = replace(self.crowd.child, name=f"d{number}", hook=hook)
        path, name = f"{CROWD}/{spec.name}", f"order{number}"
        self.started.append(path)
        self.model.world.plans[path] = plan.copy()
        self.model.pool(CROWD).start(spec, name)
        self.real.start(CROWD, spec, plan, name)
        self.compare()

    @precondition(lambda self: self.up and self.paths)
    @rule(index=indices)
    def terminate(self, index: int) -> None:
        path, name = self.paths[index % len(self.paths)], f"order{self.count()}"
        self.model.pool(CROWD).terminate(path, name)
        self.real.terminate(path, name)
        self.compare()


@pytest.mark.timeout(3600)  # to find a small program for a difference takes a while
@pytest.mark.parametrize("backend", VIRTUAL_BACKENDS)
@pytest.mark.parametrize("machine", [BranchMachine, CrowdMachine])
def test_whatever_happens_supervision_does_what_its_model_does(
    machine: type[Machine], backend: str
) -> None:
    profile = settings(
        max_examples=EXAMPLES,
        # Moments that fall together by chance are told in either order: a find to look into, and
        # nothing to stop somebody else's work.
        derandomize="HERDWICK_MACHINE" not in os.environ,
        stateful_step_count=STEPS,
        phases=[phase for phase in Phase if phase is not Phase.explain],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )

    run_state_machine_as_test(
        type(machine.__name__, (machine,), {"backend": backend}), settings=profile
    )
