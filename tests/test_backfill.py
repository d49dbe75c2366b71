"""Columns that came later say what the rows already said, and nobody who writes meanwhile notices."""

from __future__ import annotations

import json
from datetime import date
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from killing import KILLS, Stepwise, Writers, kill_at_random, stepwise
from refreshing import Refresher

from orchestration import backfill, bootstrap, catalog, cold_archive
from orchestration.cold_archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import TestServer

SPANS = "raaf.raaf_tracing_spans"
COLUMNS = (
    "agent_name, prompt_data, input_context, output_context, chat_messages, execution_metadata"
)
# Kind, name and attributes of spans, and what becomes of them in the order of COLUMNS.
OLD: dict[str, tuple[str, str, dict[str, Any], tuple[Any, ...]]] = {
    "dotted": (
        "agent",
        "step",
        {
            "agent.name": " clerk ",
            "agent.initial_user_prompt": "Where is it?",
            "agent.conversation_messages": '[{"role": "user", "content": "Where is it?"}]',
        },
        (
            "clerk",
            {"text": "Where is it?"},
            None,
            None,
            [{"role": "user", "content": "Where is it?"}],
            None,
        ),
    ),
    "nested": (
        "agent",
        "step",
        {
            "agent": {"name": "critic"},
            "prompt_data": {"text": "Judge it", "model": "m"},
            "input_context": {"data": {"a": 1}},
            "execution_metadata": {"agent_version": "2", "tools_used": ["search"]},
        },
        (
            "critic",
            {"text": "Judge it", "model": "m"},
            {"data": {"a": 1}},
            None,
            None,
            {"agent_version": "2", "tools_used": ["search"]},
        ),
    ),
    "flat": (
        "llm",
        "step",
        {
            "prompt_data.text": "Say it",
            "prompt_data.max_tokens": 9,
            "output_context.data": [1],
            "llm": {"request": {"messages": [{"role": "user", "content": "Say it"}]}},
        },
        (
            None,
            {"text": "Say it", "max_tokens": 9},
            None,
            {"data": [1]},
            [{"role": "user", "content": "Say it"}],
            None,
        ),
    ),
    "tool": (
        "tool",
        "search",
        {"function": {"input": '{"q": 1}', "output": "[1, 2]"}, "agent.name": "N/A"},
        (None, None, {"data": {"q": 1}}, {"data": [1, 2]}, None, None),
    ),
    "refused": (
        "llm",
        "step",
        {"prompt_data": {"model": "m"}, "chat_messages": [{"role": "boss"}]},
        (None, None, None, None, None, None),
    ),
    "unnamed": ("agent", "planner", {}, ("planner", None, None, None, None, None)),
    "nobody": ("agent", " ", {"agent.name": "unknown"}, ("unknown", None, None, None, None, None)),
}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stepwise]:
    """What starts commands that stop before a step."""
    with stepwise(tmp_path_factory.mktemp("jobs")) as started:
        yield started


@pytest.fixture
def old(server18: TestServer, connect: Callable[[str], psycopg.Connection]) -> psycopg.Connection:
    """A database whose spans are older than the columns, in two months."""
    return connect(with_old_spans(server18, connect))


def with_old_spans(
    server: TestServer, connect: Callable[[str], psycopg.Connection], times: int = 1
) -> str:
    """Make a database with such spans; return its URL."""
    url = server.database()
    connection = connect(url)
    bootstrap.revert(connection, "100_raaf_traces")
    connection.execute(
        "select ops.create_month_partitions(%s, '2026-02-01', '2026-03-01')", (SPANS,)
    )
    for trace in range(2 * times):
        started_at = f"2026-0{2 + trace % 2}-{1 + trace % 28:02} 10:00+00"
        connection.execute(
            "insert into raaf.raaf_tracing_traces (trace_id, started_at, status)"
            " values (%s, %s, 'completed')",
            (f"t{trace}", started_at),
        )
        for span, (kind, name, attributes, _) in OLD.items():
            connection.execute(
                "insert into raaf.raaf_tracing_spans (trace_id, span_id, kind, name, span_attributes,"
                " start_time, end_time) values (%s, %s, %s, %s, %s, %s, %s)",
                (
                    f"t{trace}",
                    f"{span}{trace}",
                    kind,
                    name,
                    json.dumps(attributes),
                    started_at,
                    started_at,
                ),
            )
    bootstrap.bootstrap(connection)
    return url


def found(connection: psycopg.Connection) -> dict[str, tuple[Any, ...]]:
    """Read what the columns say, archived spans included."""
    rows = connection.execute(
        f"select span_id, {COLUMNS} from history.raaf__raaf_tracing_spans".encode()
    )
    return {row[0]: row[1:] for row in rows}


def expected(times: int = 1) -> dict[str, tuple[Any, ...]]:
    """Tell what the columns must say of the old spans."""
    return {
        f"{span}{trace}": columns
        for trace in range(2 * times)
        for span, (*_, columns) in OLD.items()
    }


def test_columns_say_what_attributes_said(old: psycopg.Connection, jobs: Stepwise) -> None:
    """Spans that look as if nothing had been captured, or hold what no reader of the columns expects."""
    changed = old.execute(
        "select span_id, change_id, updated_at from raaf.raaf_tracing_spans"
    ).fetchall()
    told = jobs.start(("backfill", "raaf"), old.info.dsn).end()
    assert "12 of 14 spans filled; 6 checks validated" in told
    assert "2 times chat_messages has another shape; 2 times prompt_data has another shape" in told
    assert found(old) == expected()
    again = old.execute("select span_id, change_id, updated_at from raaf.raaf_tracing_spans")
    assert sorted(again.fetchall()) == sorted(changed), "rows keep what they were stamped with"
    assert (
        "0 of 14 spans filled; 0 checks validated"
        in jobs.start(("backfill", "raaf"), old.info.dsn).end()
    )


def test_checks_bind_new_rows_at_once_and_old_ones_in_the_end(
    old: psycopg.Connection, server18: TestServer, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A check that is never looked up in older rows, or a writer who cannot end a span without a name."""
    new = (
        "insert into raaf.raaf_tracing_spans (trace_id, span_id, name, kind)"
        " values ('t0', 's', 's', 'agent')"
    )
    with pytest.raises(psycopg.errors.CheckViolation):
        old.execute(new)
    old.execute("update raaf.raaf_tracing_spans set status = 'error' where span_id = 'nested0'")
    assert found(old)["nested0"][0] == "critic"
    backfill.raaf(old)
    assert catalog.objects(old) == catalog.objects(connect(server18.database()))
    assert [row for row in catalog.compare(old) if row.changed] == []


def test_what_a_writer_has_written_stays(old: psycopg.Connection) -> None:
    """A name that was set right by hand, and comes back wrong from the attributes."""
    old.execute(
        "update raaf.raaf_tracing_spans set agent_name = 'Clerk', prompt_data = '{\"text\": \"new\"}',"
        " chat_messages = '[]' where span_id = 'dotted0'"
    )
    backfill.raaf(old)
    name, prompt, *_, messages, _ = found(old)["dotted0"]
    assert (name, prompt) == ("Clerk", {"text": "new"})
    assert messages == OLD["dotted"][3][4], "[] means not captured"


def test_archived_spans_are_filled_and_can_come_back(old: psycopg.Connection) -> None:
    """A month that was archived without names, whose checks keep it from coming back."""
    old.execute("select ops.archive_month(%s, '2026-02-01')", (SPANS,))
    backfill.raaf(old)
    assert found(old) == expected()
    old.execute("select ops.unarchive_month(%s, '2026-02-01')", (SPANS,))
    assert found(old) == expected()


def test_a_month_that_has_left_is_filled_once_it_is_back(
    old: psycopg.Connection, tmp_path: Path
) -> None:
    """A month in a file without names, whose checks, validated since, keep it from ever coming back."""
    archive, february = Archive(str(tmp_path)), date(2026, 2, 1)
    assert cold_archive.remove_month(old, archive, SPANS, february).rows == 7
    backfill.raaf(old)
    assert found(old) == {key: columns for key, columns in expected().items() if key[-1] == "1"}
    assert cold_archive.restore_month(old, archive, SPANS, february) == 7
    assert found(old) != expected(), "the negative control: it came back as it was"
    backfill.raaf(old)
    assert found(old) == expected()
    assert backfill.raaf(old).validated == 0


def test_a_revert_half_way_keeps_the_columns_aside(old: psycopg.Connection) -> None:
    """A backfill that is reverted when it is half done: what it and others had written is gone."""
    old.execute(
        "update raaf.raaf_tracing_spans set prompt_data = '{\"text\": \"by hand\"}' where span_id = 'tool1'"
    )
    old.execute("select from raaf.backfill_spans(3)")
    halfway = found(old)
    assert halfway != expected(), "the negative control: it is half done"
    bootstrap.revert(old, "100_raaf_traces")
    bootstrap.bootstrap(old)
    assert found(old) == halfway
    backfill.raaf(old)
    assert found(old) == expected() | {
        "tool1": (None, {"text": "by hand"}, *OLD["tool"][3][2:]),
    }


def test_marts_count_the_agents_that_have_a_name_now(
    old: psycopg.Connection, build_marts: Callable[..., None]
) -> None:
    """A mart that goes on without an agent, as no trigger told of the name that it has got."""
    refresher = Refresher.build(old.info.dsn, build_marts)
    refresher.refresh(old)
    before = refresher.rows(old)
    backfill.raaf(old)
    refresher.refresh(old)
    refreshed = refresher.rows(old)
    assert refreshed != before, "the negative control: names come to marts"
    refresher.refresh(old, is_full=True)
    assert refresher.rows(old) == refreshed


def test_killed_anywhere_it_ends_as_if_undisturbed(
    server18: TestServer, jobs: Stepwise, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A span that is left out, or a value of a writer that is overwritten, by a backfill that died."""
    times, killed, rounds = 60, 0, 0
    draw = Random(KILLS)  # noqa: S311  (it should repeat)
    longest = 0.0
    job = jobs.start(("backfill", "raaf"), with_old_spans(server18, connect, times))
    job.end()
    steps = job.steps
    while killed < KILLS:
        url = with_old_spans(server18, connect, times)
        connection = connect(url)
        rounds += 1
        written: dict[str, str] = {}

        def write(number: int, draw: Random) -> tuple[str, tuple[Any, ...]]:
            span = f"{draw.choice([*OLD])}{draw.randrange(times // 4) * 8 + number}"
            written[span] = f"{draw.random()}"  # noqa: B023
            return (
                "update raaf.raaf_tracing_spans set status = 'error', events = %s where span_id = %s",
                (json.dumps([{"name": written[span]}]), span),  # noqa: B023
            )

        writers = Writers(url, write)
        with writers.at_work():
            for _ in range(12):
                job = jobs.start(("backfill", "raaf"), url, draw.choice(steps))
                killed += kill_at_random(job, url, draw)
            jobs.start(("backfill", "raaf"), url).end()
        longest = max(longest, writers.longest)
        assert found(connection) == expected(times)
        last = connection.execute(
            "select span_id, events #>> '{0,name}' from raaf.raaf_tracing_spans where status = 'error'"
        ).fetchall()
        assert dict(last) == written
        unvalidated = connection.execute(
            "select conname from pg_constraint where conrelid = %s::regclass and not convalidated",
            (SPANS,),
        )
        assert unvalidated.fetchall() == []
    print(f"{killed} kills in {rounds} rounds, longest wait {longest:.0f} ms")
