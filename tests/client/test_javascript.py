"""Tests of herdwick.js, in node and in a real browser, against servers that play scripts.

Each test names a scene of javascript/scenes.mjs, which is what the client does, and holds the
script of the server. Where the server is a real one, `act(scene, url)` plays the scene against it.
"""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from herdwick.protocol.v1 import (
    Error,
    Gap,
    Join,
    Joined,
    Leave,
    Left,
    Metas,
    Moved,
    Ping,
    Presence,
    Publication,
    Push,
    Refresh,
    Refused,
    Reply,
)
from tests.client.javascript.acts import Act
from tests.client.javascript.stage import Script, Stage, Visitor, played, raw

Play: TypeAlias = Callable[[str, Script], None]
"""Play the scene of that name against a server that plays the script."""


@pytest.fixture
def play(act: Act) -> Play:
    def play(scene: str, script: Script) -> None:
        with played(script) as url:
            act(scene, url)

    return play


# ---------------------------------------------------------------------- members


def test_a_member_hears_pushes_and_leaves(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        join = await ada.take_in(position="p1", payload=raw("welcome"))
        assert (join.topic, join.params) == ("chat:42", {"name": "Ada"})
        await ada.send(
            Publication("chat:42", raw("<b>hello</b>"), "p2"), Publication("chat:42", raw(None))
        )
        said = await ada.receive(Push)
        assert (said.topic, bytes(said.payload)) == ("chat:42", b'{"type":"Say","text":"hi"}')
        await ada.send(Reply(ref_of(said), raw({"heard": "hi"})))
        rude = await ada.receive(Push)
        await ada.send(Refused(ref_of(rude), "rejected", "no", raw({"why": "rude"}), 2.5))
        leave = await ada.receive(Leave)
        await ada.send(Publication("chat:42", raw("too late")), Reply(leave.ref))
        await ada.take_in()
        assert await ada.closing() == 1000

    play("joinsPushesAndLeaves", script)


def test_a_room_may_be_left_at_any_moment(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in(presence={"ada": {"a1": {}}})
        await ada.take_in()
        assert (await ada.receive(Leave)).topic == "hasty"
        await ada.send(Left("out", "crashed", retry_after=1))
        join = await ada.take_in()
        assert join.topic == "other"
        assert await ada.closing() == 1000

    play("leavesAtAnyMoment", script)


def test_a_room_hears_nothing_of_the_membership_before_it(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in()
        leave = await ada.receive(Leave)
        await ada.send(Publication("chat:42", raw("of the first")), Left("chat:42", "crashed"))
        await ada.send(Reply(leave.ref))
        await ada.take_in()
        await ada.send(Publication("chat:42", raw("of the second")))
        assert await ada.closing() == 1000

    play("joinsAgainAfterLeaving", script)


def test_a_member_that_was_put_out_returns_when_it_may(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in(position="p1")
        await ada.send(Left("chat:42", "crashed", "oh", 0.01))
        await ada.take_in(since="p1", recovered=True, position="p1")
        await answer_push(ada, "got it")
        await ada.send(Left("chat:42", "removed", "out"))
        await ada.receive(Join)
        assert await ada.closing() == 1000

    play("leftAndBackAgain", script)


def test_one_that_is_refused_tries_again_when_it_may(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        first = await ada.receive(Join)
        await ada.send(Refused(first.ref, "unavailable", "not now", retry_after=0.01))
        await ada.take_in()
        secret = await ada.receive(Join)
        await ada.send(Refused(secret.ref, "forbidden", "no", raw("members only")))
        assert await ada.closing() == 1000

    play("refusedThenLetIn", script)


def test_those_who_were_put_out_do_not_return_all_at_once(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in(position="p1")
        await ada.send(Left("chat:42", "crashed", retry_after=4))
        again = await ada.receive(Join)
        await ada.send(Refused(again.ref, "unavailable", "not yet", retry_after=4))
        await ada.take_in(since="p1", recovered=True)
        assert await ada.closing() == 1000

    play("waitsWithJitter", script)


# ---------------------------------------------------------------------- lost connections


def test_a_lost_connection_is_resumed_where_it_broke(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in(position="p1")
        await ada.send(Publication("chat:42", raw("one"), "p2"))
        await ada.receive(Push)
        await ada.lose()

        again = await stage.visitor()
        join = await again.take_in(since="p2", recovered=True, position="p2")
        assert join.params == {"name": "Ada"}
        await again.send(Publication("chat:42", raw("two"), "p3"))
        assert bytes((await answer_push(again, "got it")).payload) == b'"later"'
        assert await again.closing() == 1000

    play("resumes", script)


def test_what_is_missing_is_told(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in(position="p1")
        await ada.send(Gap("chat:42", "slow", "p8"), Moved("chat:42", "p9"))
        await ada.send(Publication("chat:42", raw("after the gap")))
        await ada.lose()

        again = await stage.visitor()
        await again.take_in(since="p9", gap="epoch", position="q1", payload=raw("anew"))
        await again.lose()

        third = await stage.visitor()
        join = await third.receive(Join)
        await third.send(Refused(join.ref, "invalid_position", "what is q1?"))
        await third.take_in(since=None)
        assert await third.closing() == 1000

    play("tellsGaps", script)


def test_a_return_to_a_topic_without_positions_is_a_gap(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in()
        await ada.lose()
        again = await stage.visitor()
        await again.take_in()
        assert await again.closing() == 1000

    play("tellsAGapWithoutPositions", script)


def test_a_position_that_was_kept_is_resumed_from(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in(since="p5", recovered=True, position="p5")
        await ada.take_in(since="p1", gap="history", position="p5")
        assert await ada.closing() == 1000

    play("resumesFromAKeptPosition", script)


def test_it_may_be_closed_at_any_moment(play: Play) -> None:
    async def script(stage: Stage) -> None:
        assert await (await stage.visitor()).closing() == 1000

    play("closesFromAListener", script)


def test_it_comes_back_after_most_close_codes(play: Play) -> None:
    async def script(stage: Stage) -> None:
        for code in (1001, 1002, 1009, 1011, 1012, 1013, 3000, 4000, 4400, 4404, 4429, 4999):
            await (await stage.visitor()).close(code)

    play("comesBack", script)


@pytest.mark.parametrize("code", [1000, 4403, 4500])
def test_it_stays_away_where_it_is_told_to(play: Play, code: int) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in()
        await ada.receive(Push)
        await ada.close(code, "go")
        assert stage.handshakes == 1

    play("staysAway", script)


def test_it_comes_back_slowly_where_it_has_broken_a_rule(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in()
        await ada.close(1008, "too many pushes")
        ada = await stage.visitor()
        await ada.take_in()
        await ada.lose()

    play("waitsLongAfterAFault", script)


def test_it_waits_longer_for_a_server_that_refuses(play: Play) -> None:
    async def script(stage: Stage) -> None:
        stage.refusals += [503, 403, 404, 503, 503, 503, 503]
        ada = await stage.visitor()
        assert stage.handshakes == 8
        await ada.take_in()
        await ada.lose()

    play("waitsEverLonger", script)


def test_a_connection_that_does_not_open_is_given_up(act: Act) -> None:
    act("givesUpAConnectionThatDoesNotOpen", "")


def test_a_connection_that_has_died_silently_is_replaced(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in()
        await ada.receive(Ping)
        await ada.send(Publication("chat:42", raw("still here")))
        await ada.receive(Ping)

        again = await stage.visitor()
        await again.take_in()
        assert await again.closing() == 1000

    play("noticesSilence", script)


# ---------------------------------------------------------------------- tokens


def test_it_comes_back_with_a_new_token(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        assert ada.token == "old"
        await ada.close(4401)

        again = await stage.visitor()
        assert again.token == "new"
        await again.take_in()
        refresh = await again.receive(Refresh)
        assert refresh.token == "newer"
        await again.send(Reply(refresh.ref))
        await again.close(4401)

    play("asksForANewToken", script)


def test_it_stays_away_where_its_token_is_the_one_that_was_refused(play: Play) -> None:
    async def script(stage: Stage) -> None:
        await (await stage.visitor()).close(4401)
        assert stage.handshakes == 1

    play("staysAwayWithTheOldToken", script)


def test_its_token_may_be_the_first_message(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        assert ada.token is None
        first = await ada.receive(Refresh)
        assert first.token == "old"
        await ada.close(4401)

        again = await stage.visitor()
        assert (await again.receive(Refresh)).token == "new one"
        await again.take_in()
        assert await again.closing() == 1000

    play("showsItsTokenFirst", script)


def test_it_may_be_closed_before_its_token_is_there(act: Act) -> None:
    act("closesBeforeTheTokenIsThere", "")


def test_a_token_that_cannot_be_had_is_asked_for_again(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        assert ada.token == "mine"
        await ada.take_in()
        assert await ada.closing() == 1000

    play("triesAgainWhereTheTokenFails", script)


# ---------------------------------------------------------------------- presence


def test_who_is_present_is_kept_up_to_date(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        there: Metas = {"ada": {"a1": {"name": "Ada"}}, "__proto__": {"x": {}}}
        await ada.take_in(presence=there)
        more: Metas = {"bob": {"b2": {}}}
        joins: Metas = {"ada": {"a2": {"name": "Ada"}}, "bob": {"b1": {}}}
        await ada.send(Presence("chat:42", joins, {"ada": ["a1"]}))
        await ada.send(Presence("chat:42", more, {"ada": ["a2"], "__proto__": ["x"], "eve": ["e"]}))
        await ada.lose()

        again = await stage.visitor()
        await again.take_in(presence={"cyd": {"c1": {}}})
        assert await again.closing() == 1000

    play("showsWhoIsPresent", script)


# ---------------------------------------------------------------------- pushes


def test_what_waits_is_bounded_in_number_and_time(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        join = await ada.receive(Join)
        await ada.send(Joined(join.ref, "chat:42"))
        await answer_push(ada, "got it")
        await ada.receive(Push)
        await ada.receive(Leave)
        assert await ada.closing() == 1000

    play("boundsWhatWaits", script)


def test_pushes_arrive_in_their_order_and_as_they_were(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in()
        payloads = [bytes((await answer_push(ada, number)).payload) for number in (1, 2, 3)]
        assert payloads == [b'{"text":"as it was"}', b"2", b"3"]
        assert await ada.closing() == 1000

    play("keepsTheOrderOfPushes", script)


# ---------------------------------------------------------------------- the unexpected


def test_it_bears_with_frames_that_it_does_not_know(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.send(Error("invalid_message", "what?"))
        await ada.send_text('{"type": "novelty", "topic": "chat:42"}')
        await ada.take_in()
        await ada.send_text('{"type": "novelty", "topic": "chat:42"}')
        await ada.send_text('{"type": "publication", "topic": "another", "payload": 1}')
        await ada.send_text("null")
        await ada.send(Reply(1_000_000), Publication("chat:42", raw("still there")))
        await ada.send_text("this is no JSON")

    play("bearsWithTheUnexpected", script)


def test_a_listener_that_fails_is_reported_and_does_no_harm(play: Play) -> None:
    async def script(stage: Stage) -> None:
        ada = await stage.visitor()
        await ada.take_in()
        await ada.send(Publication("chat:42", raw("hello")))
        assert await ada.closing() == 1000

    play("outlivesItsListeners", script)


def test_mistakes_are_told_at_once(act: Act) -> None:
    act("tellsMistakesAtOnce", "")


# ---------------------------------------------------------------------- what scripts share


def ref_of(push: Push) -> int:
    assert push.ref is not None
    return push.ref


async def answer_push(visitor: Visitor, payload: object) -> Push:
    push = await visitor.receive(Push)
    await visitor.send(Reply(ref_of(push), raw(payload)))
    return push
