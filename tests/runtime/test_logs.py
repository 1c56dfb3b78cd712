"""What becomes of each log line: how often, without secrets, on one line, with its fields."""

import ast
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import anyio
import pytest

import herdwick
from herdwick.runtime import FIELDS, LOGGERS, Child, LogFilter
from herdwick.runtime.logs import MOST_CHARACTERS, Quota, clean, escaped, redacted, signature_of
from herdwick.testing import settle
from tests.runtime.samples import Crash, Diary, Note, Quit, one

ROOT = Path(herdwick.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logger(clock: Clock, caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    """One of ours, with a filter on it as a system has it."""
    with LogFilter(clock).standing(), caplog.at_level(logging.DEBUG):
        yield logging.getLogger("herdwick.server")


# ---------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/chat?token=abc", "/chat?token=[redacted]"),
        ("/chat?room=7&access_token=a.b-c%20d&x=1", "/chat?room=7&access_token=[redacted]&x=1"),
        ("/chat?KEY=1&auth=2&x=3", "/chat?KEY=[redacted]&auth=[redacted]&x=3"),
        ("/chat?sig=3&Code=4", "/chat?sig=[redacted]&Code=[redacted]"),
        ("/chat?%74oken=abc", "/chat?%74oken=[redacted]"),
        ("/chat?x=1;token=abc", "/chat?x=1;token=[redacted]"),
        ('/chat?token=a"b;c', "/chat?token=[redacted]"),
        ("/chat?next=%2Fin%3Ftoken%3Dabc%26x%3D1", "/chat?next=%2Fin%3Ftoken%3D[redacted]%26x%3D1"),
        ('"GET /?token=abc HTTP/1.1" 200', '"GET /?token=[redacted] HTTP/1.1" 200'),
        ("Authorization: Bearer abcdefgh", "Authorization: Bearer [redacted]"),
        ("authorization: Basic YWJjOmRlZg==", "authorization: Basic [redacted]"),
        ("[(b'authorization', b'abcdefghij')]", "[(b'authorization', b'[redacted]')]"),
        ("['chat', 'bearer.abcdefgh']", "['chat', 'bearer.[redacted]']"),
        ("/chat?tokens=3&monkey=4", "/chat?tokens=3&monkey=4"),
        ("/token=abc", "/token=abc"),
        ("/chat?token=", "/chat?token=[redacted]"),
        ("the bearer token is wrong", "the bearer token is wrong"),
        ("token=abc", "token=[redacted]"),
        ("b'token=abc&x=1'", "b'token=[redacted]&x=1'"),
        ("the query is token=abc", "the query is token=[redacted]"),
        ("['x', (%74oken=abc", "['x', (%74oken=[redacted]"),
        ("{'token': 'ab\\'c', 'x': 1}", "{'token': '[redacted]', 'x': 1}"),
        ("{'code': [b'abc']}", "{'code': [b'[redacted]']}"),
        ('{"x":1,"access_token":"a b"}', '{"x":1,"access_token":"[redacted]"}'),
        ('"{\\"key\\": \\"abc\\"}"', '"{\\"key\\": \\"[redacted]\\"}"'),
        ('{"token": 123', '{"token": [redacted]'),
        ("Shown(token='a b', ref=1)", "Shown(token='[redacted]', ref=1)"),
        ("token = 'abc'", "token = '[redacted]'"),
        ("Token: abc", "Token: [redacted]"),
        ("token: 'cut off", "token: '[redacted]"),
        ("/chat?token=%26abc", "/chat?token=[redacted]"),
        ("is closed with code 1008, code: 1008", "is closed with code 1008, code: 1008"),
        ("token = read(data)", "token = read(data)"),
    ],
)
def test_values_of_secrets_are_redacted(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "part",
    [
        "%26",
        "?",
        "&a",
        ";x=",
        "%3F%3D",
        "bearer ",
        "authorization ",
        "('",
        "token:'",
        "a \\",
        ":  ",
    ],
)
def test_hostile_texts_are_redacted_in_time(part: str) -> None:
    assert len(clean(part * 100_000)) < 2 * MOST_CHARACTERS * len("[redacted]")


@pytest.mark.parametrize("part", ["('", "token:'", "token =\\'", "a \\", ":  ", "'\\"])
def test_hostile_quotes_are_redacted_in_time(part: str) -> None:
    assert len(redacted(part * 100_000)) <= 2_000_000


# ---------------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a\r\nINFO all is well", r"/a\r\nINFO all is well"),
        ("\x1b[2Jgone\x00\x7f\x85", r"\x1b[2Jgone\x00\x7f\x85"),
        ("\u2028\u202e\udc80", r"\u2028\u202e\udc80"),
        ("füße, 羊, \\n, 🐑", "füße, 羊, \\n, 🐑"),
    ],
)
def test_what_would_break_a_line_is_escaped(text: str, expected: str) -> None:
    assert escaped(text) == expected


def test_an_argument_breaks_no_line(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.warning("%s: %s", "/a\nb?key=1", ValueError("c\x1bd"), extra={"reason": "e\nf"})

    assert caplog.messages == [r"/a\nb?key=[redacted]: c\x1bd"]
    assert vars(caplog.records[0])["reason"] == r"e\nf"


def test_an_argument_without_a_text_or_with_a_long_one_is_bounded(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("no")

    logger.warning("%s and %s", Broken(), "x" * 1_000_000)

    [message] = caplog.messages
    assert message.startswith("<Broken: its text cannot be told> and xxx")
    assert len(message) < 2 * MOST_CHARACTERS


def test_no_line_of_a_traceback_looks_like_one_of_the_log(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise ValueError("a\n2026-01-01 INFO all is well /?token=abc\x1b")
    except ValueError:
        logger.exception("%s failed", "it")

    text = caplog.text.splitlines()
    assert len(text) > 3
    assert all(line.startswith("  ") for line in text[1:])
    assert text[-1] == r"  2026-01-01 INFO all is well /?token=[redacted]"
    assert "\x1b" not in caplog.text


# ---------------------------------------------------------------------- how often


def test_a_quota_lets_one_of_a_kind_pass_and_counts_the_others() -> None:
    quota = Quota(1.0)

    assert [quota.take("a", 0.0), quota.take("a", 0.5), quota.take("b", 0.5)] == [0, None, 0]
    assert [quota.take("a", 0.9), quota.take("a", 1.0), quota.take("a", 2.0)] == [None, 2, 0]
    assert list(quota.held_back()) == []


def test_a_quota_knows_a_bounded_number_of_kinds_and_counts_all() -> None:
    quota = Quota(1.0, most=10)
    passed = sum(quota.take(kind, 0.0) is not None for kind in range(1000))

    assert len(quota) <= 11
    assert passed + sum(held for _, held in quota.held_back()) == 1000

    told = dict(each for _ in range(2) for each in quota.forget(5.0, "late"))
    assert quota.take("late", 5.0) == 0
    assert len(quota) == 1
    assert told == {None: 1000 - passed}


def test_a_thousand_kinds_are_forgotten_bit_by_bit_though_some_were_held_back() -> None:
    quota = Quota(1.0, most=10)
    for kind in range(10):
        assert [quota.take(kind, 0.0) for _ in range(3)] == [0, None, None]

    assert list(quota.forget(1.9, None)) == []
    told = [list(quota.forget(2.0, "new")) for _ in range(3)]

    assert [len(each) for each in told] == [8, 2, 0]
    assert told[0][0] == (0, 2)
    assert quota.take("new", 2.0) == 0


def test_a_kind_has_one_line_a_second_with_the_number_of_the_others(
    logger: logging.Logger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        logger.warning("%s is bad", "one")
        logger.warning("alone")
    logger.error("%s is bad", "one")
    clock.now = 1.0
    logger.warning("%s is bad", "two")
    logger.warning("alone")

    assert caplog.messages == [
        "one is bad",
        "alone",
        "one is bad",
        "two is bad suppressed=4",
        "alone suppressed=4",
    ]
    assert vars(caplog.records[3])["suppressed"] == 4
    assert caplog.records[3].msg.startswith("%s is bad")


def test_no_line_hides_one_of_another_kind_status_or_code(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        logger.info("%s", "one", extra={"kind": "refused", "status": 400, "code": 1})
        logger.info("%s", "two", extra={"kind": "mistake", "status": 400, "code": 1})
        logger.info("%s", "three", extra={"kind": "mistake", "status": 401, "code": 1})
        logger.info("%s", "four", extra={"kind": "mistake", "status": 401, "code": 2})

    assert caplog.messages == ["one", "two", "three", "four"]


def test_who_is_in_trouble_hides_no_other_but_for_connections(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for actor in ("root/a", "root/b", "root/connections/a", "root/connections/b"):
        for level in (logging.INFO, logging.WARNING):
            logger.log(level, "%s", actor, extra={"kind": "restarted", "actor": actor})

    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert warnings == ["root/a", "root/b", "root/connections/a"]
    assert len(caplog.records) == 4


def test_codes_that_peers_choose_are_no_kinds(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    for code in range(3000, 3010):
        logger.debug("over: %d", code, extra={"kind": "over", "code": code})

    assert len(caplog.records) == 1


def test_a_burst_is_told_by_the_next_line_of_another_kind(
    logger: logging.Logger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        logger.warning("%s is bad", "one", extra={"kind": "bug", "actor": "root/a"})
    clock.now = 2.0
    logger.info("another")
    logger.info("another")
    logger.warning("%s is bad", "two", extra={"kind": "bug", "actor": "root/a"})

    assert caplog.messages == [
        "one is bad",
        "not logged: %s is bad; suppressed=4",
        "another",
        "two is bad",
    ]
    told = vars(caplog.records[1])
    assert (told["kind"], told["suppressed"], told["actor"]) == ("suppressed", 4, "root/a")
    assert caplog.records[1].levelno == logging.WARNING


def test_what_was_held_back_is_told_in_the_end(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ours = logging.getLogger("herdwick.auth")
    with LogFilter(clock).standing():
        for _ in range(5):
            ours.warning("%s is bad", "one")
    ours.warning("%s is bad", "one")

    assert caplog.messages == [
        "one is bad",
        "not logged: %s is bad; suppressed=4",
        "one is bad",
    ]
    assert vars(caplog.records[1])["suppressed"] == 4


def test_two_filters_count_each_line_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    ours = logging.getLogger("herdwick")
    late = Clock()  # its second is longer
    with LogFilter(clock).standing(), LogFilter(late).standing():
        for now in (0.0, 1.0, 1.2):
            clock.now, late.now = now, now * 0.9
            ours.warning("again")

    assert caplog.messages == [
        "again",
        "again",
        "not logged: again; suppressed=1",
    ]


def test_the_access_log_is_not_bounded(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "herdwick.access"), LogFilter(clock).standing():
        for _ in range(3):
            logging.getLogger("herdwick.access").info('%s - "%s"', "::1", "/?token=abc")

    assert caplog.messages == ['::1 - "/?token=[redacted]"'] * 3


def fail_here() -> None:
    raise ValueError("here")


def fail_there() -> None:
    raise ValueError("there")


def log_failure(logger: logging.Logger, fail: Callable[[], None]) -> None:
    try:
        fail()
    except ValueError as error:
        logger.error("%s crashed", "it", exc_info=error)


def test_an_error_has_one_line_a_second_and_one_traceback_in_ten(
    logger: logging.Logger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for tenth in range(200):
        clock.now = tenth / 10
        log_failure(logger, fail_here)
    log_failure(logger, fail_there)

    tracebacks = [record for record in caplog.records if record.exc_info]
    assert len(caplog.records) in (20, 21)  # tenths are no whole numbers
    assert len(tracebacks) == 3
    assert [record.exc_text.count("ValueError: here") for record in tracebacks[:2]] == [1, 1]  # type: ignore[union-attr] # pyright: ignore[reportOptionalMemberAccess]
    assert "ValueError: there" in (tracebacks[2].exc_text or "")


def test_groups_are_told_apart_by_what_is_in_them() -> None:
    def signature(error: Exception) -> object:
        try:
            raise ExceptionGroup("of a task group", [error])
        except ExceptionGroup as group:
            return signature_of(group)

    assert signature(ValueError()) == signature(ValueError())
    assert signature(ValueError()) != signature(KeyError())


# ---------------------------------------------------------------------- in a system


async def test_a_system_bounds_what_its_crashes_log_by_its_own_clock(
    caplog: pytest.LogCaptureFixture,
) -> None:
    child = Child(Diary)
    async with one(child) as (ref, _):
        ref.tell(Crash())
        ref.tell(Crash())
        await settle()
        await anyio.sleep(1)
        ref.tell(Crash())
        await settle()

    said = [record for record in caplog.records if " crashed: " in record.getMessage()]
    assert [record.getMessage() for record in said[:2]] == [
        "root/Diary crashed: ValueError: boom",
        "root/Diary crashed: ValueError: boom suppressed=1",
    ]
    assert [bool(record.exc_info) for record in said[:2]] == [True, False]
    assert (said[0].__dict__["kind"], said[0].__dict__["actor"]) == ("crashed", "root/Diary")


async def test_the_filter_is_gone_with_its_system(caplog: pytest.LogCaptureFixture) -> None:
    async with one(Child(Diary).policy(restart="temporary")) as (ref, _):
        await ref.ask(Quit())
        await settle()
        for _ in range(3):
            ref.tell(Note("x"))

    assert [name for name in LOGGERS if logging.getLogger(name).filters] == []
    assert "suppressed=2" in caplog.text


# ---------------------------------------------------------------------- in the source


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Find what logs a line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id in ("logger", "_logger", "access"):
                yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_line_of_ours_has_fields(path: Path) -> None:
    asks = ("isEnabledFor", "setLevel")
    logging_calls = [
        call
        for call in calls(ast.parse(path.read_text()))
        if cast("ast.Attribute", call.func).attr not in asks
    ]

    bare = [c.lineno for c in logging_calls if "extra" not in {k.arg for k in c.keywords}]

    assert bare == []


def test_each_field_is_a_known_one() -> None:
    used: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                names = [key.value for key in node.keys if isinstance(key, ast.Constant)]
                used |= {str(name) for name in names} if names[:1] == ["kind"] else set()

    assert used - {"stack"} == set(FIELDS)


def test_each_logger_of_ours_is_a_known_one() -> None:
    named: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger":
                names = [a.value for a in node.args if isinstance(a, ast.Constant)]
                named |= {str(name) for name in names}

    assert {name for name in named if name.startswith("herdwick")} == set(LOGGERS)
