"""Loading agent runs into a real PostgreSQL: what becomes of good, odd and bad records."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration import loader, simulate
from orchestration.agent_run import COLUMNS, Rejected, parse, rows_of
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import TestServer


def run(run_id: str = "r1", **fields: Any) -> dict[str, Any]:
    """Give a small record."""
    return {
        "schema": "agent-run/1",
        "run_id": run_id,
        "agent": {"name": "helper", "version": "1", "model": "gpt-4.1-mini"},
        "domain": "retail",
        "started_at": "2026-03-01T10:00:00Z",
        "success": True,
    } | fields


def whole_run() -> dict[str, Any]:
    """Give a record with everything that a run may hold."""
    return run(
        "whole",
        agent={"name": "helper", "model": "m", "llm_args": {"api_key": "sk-123", "top_p": 1}},
        counterpart={"name": "customer", "model": "u"},
        experiment="exp",
        task_id=7,
        started_at="2026-03-01T10:00:00",
        ended_at="2026-03-01T10:01:00",
        duration_s=59.12345678901234,
        reward=0.5,
        success=False,
        agent_cost_usd=0.3,
        cost_parts_usd={"llm_tokens": 0.1, "search_api": 0.2, "total_cost": 0.3},
        unknown={"kept": [1, "ü"]},
        messages=[
            {"role": "assistant", "content": "Hi", "timestamp": "2026-03-01T10:00:01", "cost": 0},
            {
                "role": "user",
                "content": "Help",
                "timestamp": "2026-03-01T10:00:03",
                "cost": 0.00038399999999999996,
                "usage": {"prompt_tokens": 10, "completion_tokens": 2},
                "tool_calls": [{"id": "same", "name": "look", "requestor": "user"}],
            },
            {
                "role": "assistant",
                "timestamp": "2026-03-01T10:00:05",
                "cost": 0.1,
                "mood": "good",
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 20,
                    "cached_tokens": 40,
                    "cost": 0.1,
                    "service_tier": "flex",
                    "prompt_tokens_details": {"audio_tokens": 0},
                },
                "tool_calls": [
                    {"id": "same", "name": "find", "arguments": {"x": 1}},
                    {"id": "same", "name": "find", "arguments_text": "{cut"},
                    {"id": "lost", "name": "send"},
                ],
            },
            {
                "role": "tool",
                "tool_call_id": "same",
                "content": "1",
                "timestamp": "2026-03-01T10:00:06",
            },
            {"role": "tool", "tool_call_id": "same", "content": "2", "error": True},
            {
                "role": "tool",
                "tool_call_id": "same",
                "content": "3",
                "timestamp": "2026-03-01T10:00:08",
            },
            {"role": "tool", "tool_call_id": "never asked", "error": True, "content": None},
        ],
    )


def write(path: Path, *records: Any) -> Path:
    """Write records, or lines as they are, to a file."""
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in records]
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def load(raw: psycopg.Connection, *paths: Path, **options: Any) -> loader.LoadSummary:
    """Load files."""
    return loader.load_agent_runs(raw, list(paths), **options)


def ask(raw: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    """Run a query."""
    return raw.execute(query.encode()).fetchall()


def content(raw: psycopg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Give all that the loader wrote, without what differs by the transaction."""
    return {
        table: ask(raw, f"select {', '.join(columns)} from {table} order by 1, 2, 3")
        for table, columns in COLUMNS.items()
    } | {
        "ops.loaded_runs": ask(raw, "select run_id, content_sha256 from ops.loaded_runs order by 1")
    }


def test_a_run_becomes_a_trace_with_its_spans(raw: psycopg.Connection, tmp_path: Path) -> None:
    """Catches calls that are lost, doubled, or attached to the wrong result where ids repeat."""
    summary = load(raw, write(tmp_path / "a.ndjson", whole_run()))
    assert (summary.loaded, summary.rejected, summary.naive_times) == (1, 0, 1)
    [trace] = ask(
        raw,
        "select workflow_id, execution_id, total_duration_ms, status, total_cost, metadata"
        " from observability.traces",
    )
    assert trace[:5] == ("exp", "whole", Decimal("59123.45678901234"), "completed", Decimal("0.3"))
    assert trace[5]["unknown"] == {"kept": [1, "ü"]}
    assert trace[5]["loader"] == {"times_read_as_utc": True, "fees_usd": 0.2}
    assert ask(
        raw,
        "select span_type, name, status, cost, tokens ->> 'input_tokens', metadata ->> 'payer',"
        " (extract(epoch from completed_at - started_at))::int"
        " from observability.spans order by (metadata ->> 'i')::int, span_type, metadata ->> 'part'",
    ) == [
        ("agent_tool_call", "look", "completed", None, None, "counterpart", 3),
        ("llm", "u", "completed", Decimal("0.00038399999999999996"), "10", "counterpart", 2),
        ("agent_tool_call", "find", "failed", None, None, "agent", None),
        ("agent_tool_call", "find", "completed", None, None, "agent", 3),
        ("agent_tool_call", "send", "cancelled", None, None, "agent", None),
        ("llm", "m", "completed", Decimal("0.1"), "100", "agent", 2),
        ("agent_tool_call", "unknown", "failed", None, None, None, None),
    ]  # fmt: skip
    [(metadata,)] = ask(
        raw, "select metadata from observability.spans where span_type = 'llm' and model = 'm'"
    )
    assert metadata["usage"] == {
        "cost": 0.1, "service_tier": "flex", "prompt_tokens_details": {"audio_tokens": 0}
    }  # fmt: skip


def test_a_run_becomes_a_session_with_messages_a_decision_and_a_pattern(
    raw: psycopg.Connection, tmp_path: Path
) -> None:
    """Catches messages without a place in time, and verdicts that turn into their opposite."""
    load(raw, write(tmp_path / "a.ndjson", whole_run()))
    assert ask(
        raw,
        "select role, message_type, content, tokens_used, model_used, metadata ->> 'mood'"
        " from agentic.conversation_history order by created_at, (metadata ->> 'i'), message_id",
    ) == [
        ("agent", "text", "Hi", None, None, None),
        ("user", "command", "Help", 12, "u", None),
        ("agent", "command", "", 120, "m", "good"),
        ("tool", "text", "1", None, None, None),
        ("tool", "error", "2", None, None, None),
        ("tool", "text", "3", None, None, None),
        ("tool", "error", "", None, None, None),
    ]
    assert ask(
        raw,
        "select decision_type, user_feedback, created_at, execution_time_ms"
        " from agentic.agent_decisions",
    ) == [("task", "rejected", datetime(2026, 3, 1, 10, tzinfo=UTC), 59123)]
    assert ask(raw, "select tool_sequence, success_count, failure_count"
               " from traceability.success_patterns") == [(["find", "send"], 0, 1)]  # fmt: skip
    for table in set(COLUMNS) - set(loader.SHARED):
        assert ask(raw, f"select distinct metadata ->> 'run_id' from {table}") == [("whole",)], (
            table
        )


def test_credentials_never_reach_the_database(raw: psycopg.Connection, tmp_path: Path) -> None:
    """Catches API keys that sources record among a client's settings."""
    load(raw, write(tmp_path / "a.ndjson", whole_run()))
    for table in COLUMNS:
        assert not ask(raw, f"select from {table} as t where t::text like '%sk-123%'"), table
    assert ask(raw, "select config -> 'llm_args' from agentic.agents") == [
        ({"api_key": "[REDACTED]", "top_p": 1},)
    ]


def test_credentials_of_a_rejected_record_are_blanked_too(
    raw: psycopg.Connection, tmp_path: Path
) -> None:
    """Catches keys that come to rest where records are kept that could not be loaded."""
    load(raw, write(tmp_path / "a.ndjson", run(duration_s=-1, headers={"X-Api-Key": "sk-123"})))
    [(head,)] = ask(raw, "select record_head from ops.rejected_records")
    assert b"sk-123" not in head
    assert b'"X-Api-Key": "[REDACTED]"' in head


def test_fields_with_names_of_ours_are_kept_aside(raw: psycopg.Connection, tmp_path: Path) -> None:
    """Catches unknown fields that are overwritten because the loader uses their names."""
    messages = [{"role": "user", "content": "x", "run_id": "theirs"}]
    load(raw, write(tmp_path / "a.ndjson", run(loader={"mine": 1}, messages=messages)))
    assert ask(raw, "select metadata -> 'source_fields' from observability.traces") == [
        ({"loader": {"mine": 1}},)
    ]
    assert ask(raw, "select metadata -> 'source_fields' from agentic.conversation_history") == [
        ({"run_id": "theirs"},)
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_record(
    raw: psycopg.Connection, tmp_path: Path
) -> None:
    """Catches files of Windows programs that lose their first run."""
    line = b"\xef\xbb\xbf" + json.dumps(run()).encode()
    assert load(raw, write(tmp_path / "a.ndjson", line)).loaded == 1


def test_loading_again_adds_nothing(raw: psycopg.Connection, tmp_path: Path) -> None:
    """Catches files that count twice because they were delivered twice."""
    path = write(tmp_path / "a.ndjson.gz", whole_run(), run("two"), b"", run("two"))
    first = load(raw, path)
    assert (first.loaded, first.already_loaded) == (2, 1)
    before = content(raw)
    second = load(raw, path)
    assert (second.loaded, second.already_loaded, second.rejected) == (0, 3, 0)
    assert content(raw) == before


def test_a_run_that_comes_with_other_content_is_rejected(
    raw: psycopg.Connection, tmp_path: Path
) -> None:
    """Catches a correction that silently doubles a run, or silently changes it."""
    load(raw, write(tmp_path / "a.ndjson", run("same")))
    summary = load(
        raw,
        write(tmp_path / "b.ndjson", run("same", success=False), run("new"), run("new", reward=1)),
    )
    assert (summary.loaded, summary.rejected) == (1, 2)
    assert ask(raw, "select source_line, reason from ops.rejected_records order by 1") == [
        (1, "run 'same' was loaded before with other content"),
        (3, "run 'new' was loaded before with other content"),
    ]


def test_an_undated_run_is_taken_only_as_of_a_day(raw: psycopg.Connection, tmp_path: Path) -> None:
    """Catches runs dated by guess; and rejections that stay after their record was loaded."""
    undated = run("undated", duration_s=2)
    del undated["started_at"]
    path = write(tmp_path / "a.ndjson", undated)
    assert load(raw, path).rejected == 1
    assert load(raw, path).rejected == 1
    assert ask(raw, "select reason from ops.rejected_records") == [
        ("has no start time; load it with --undated-as DATE to take it",)
    ]
    summary = load(raw, path, undated_as=date(2025, 12, 15))
    assert (summary.loaded, summary.undated) == (1, 1)
    assert ask(raw, "select count(*) from ops.rejected_records") == [(0,)]
    assert ask(raw, "select started_at, completed_at, metadata #>> '{loader,undated_as}'"
               " from observability.traces") == [
        (datetime(2025, 12, 15, tzinfo=UTC), datetime(2025, 12, 15, 0, 0, 2, tzinfo=UTC), "2025-12-15")
    ]  # fmt: skip
    assert load(raw, path).already_loaded == 1


BAD = {
    b"{not json": "is not JSON",
    b"[1]": "is not a JSON object",
    b'{"a": NaN}': "is not JSON",
    b'"\xff"': "is not JSON",
    b'{"schema": "agent-run/1", "run_id": "x", "agent": {"name": "\\ud800"}}': "is not JSON",
    b"[" * 5000: "is nested too deeply",
    b'{"schema": "trace/1"}': "field schema is 'trace/1'; this loader takes 'agent-run/1'",
    b'{"run_id": "x"}': "field schema is missing",
    b'{"schema": "agent-run/1", "agent": {"name": "a"}}': "missing required field `run_id`",
    b'{"schema": "agent-run/1", "run_id": "x"}': "missing required field `agent`",
}
BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"run_id": ""}, "field run_id: expected `str` of length >= 1"),
    ({"run_id": "x" * 300}, "field run_id: expected `str` of length <= 255"),
    ({"agent": {"name": ""}}, "field agent.name"),
    ({"agent": {"name": "x" * 101}}, "the database refused it: value too long"),
    ({"domain": "nul \x00"}, "has a NUL character"),
    ({"trial": 10**30}, "field trial: expected `int` <= 2147483647"),
    ({"experiment": "x" * 256}, "field experiment: expected `str` of length <= 255"),
    ({"success": "yes"}, "field success: expected `bool | null`, got `str`"),
    ({"agent_cost_usd": -1}, "field agent_cost_usd: expected `float` >= 0.0"),
    ({"duration_s": -1}, "field duration_s"),
    ({"duration_s": 1e300}, "is longer than a century"),
    ({"duration_s": 5e9}, "ends after the year 2099"),
    ({"started_at": "yesterday"}, "field started_at is 'yesterday', which is not an ISO 8601 time"),
    ({"started_at": "1999-12-31T23:59:59Z"}, "is not between 2000 and 2100"),
    ({"started_at": "2100-01-01T00:00:00Z"}, "is not between 2000 and 2100"),
    ({"ended_at": "2026-02-28T10:00:00Z"}, "ends before it starts"),
    ({"messages": {"role": "user"}}, "field messages: expected `array | null`"),
    ({"messages": [{"role": "narrator"}]}, "field messages[0].role: invalid enum value"),
    ({"messages": [{"role": "user", "usage": {"prompt_tokens": -1}}]}, "expected `int` >= 0"),
    ({"messages": [{"role": "user", "usage": {"prompt_tokens": 10**20}}]}, "expected `int` <="),
    ({"messages": [{"role": "user", "usage": {"prompt_tokens": 1.5}}]}, "got `decimal`"),
    ({"messages": [{"role": "user", "cost": -0.1}]}, "expected `float` >= 0.0"),
    ({"messages": [{"role": "user", "timestamp": "noon"}]}, "field messages[0].timestamp is 'noon'"),
]  # fmt: skip


def test_bad_records_are_kept_with_the_reason_and_the_rest_loads(
    raw: psycopg.Connection, tmp_path: Path
) -> None:
    """Catches one bad line that loses a whole file, and records that vanish without a word."""
    expected = list(BAD.values()) + [reason for _, reason in BAD_FIELDS]
    lines = list(BAD) + [
        json.dumps(run(f"bad {number}") | fields).encode()
        for number, (fields, _) in enumerate(BAD_FIELDS)
    ]
    between: list[Any] = []
    for number, line in enumerate(lines):
        between += [line, run(f"good {number}")]
    summary = load(raw, write(tmp_path / "a.ndjson", *between))
    assert (summary.loaded, summary.rejected) == (len(lines), len(lines))
    kept = ask(
        raw,
        "select source_line, reason, record_head, record_bytes from ops.rejected_records order by 1",
    )
    assert len(kept) == len(lines)
    for (number, reason, head, length), line, wanted in zip(kept, lines, expected, strict=True):
        assert wanted in reason, line[:80]
        assert (between[number - 1], head, length) == (line, line[: 64 << 10], len(line))


def test_a_line_longer_than_any_record_is_kept_by_its_head(
    tmp_path: Path, server18: TestServer
) -> None:
    """Catches a line without an end that takes all memory with it."""
    url = server18.database()
    path = tmp_path / "long.ndjson"
    with path.open("wb") as file:
        file.write(json.dumps(run("before")).encode() + b'\n{"schema": "')
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n' + json.dumps(run("after")).encode() + b"\n")
    script = (
        "import re, sys, psycopg; from pathlib import Path; from orchestration import loader\n"
        "c = psycopg.connect(sys.argv[1], autocommit=True)\n"
        "s = loader.load_agent_runs(c, [Path(sys.argv[2])])\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())\n"
        "print(s.loaded, s.rejected, int(peak[1]) // 1024)"
    )
    output = subprocess.run(
        [sys.executable, "-c", script, url, str(path)], check=True, capture_output=True, text=True
    ).stdout
    loaded, rejected, megabytes = map(int, output.split())
    assert (loaded, rejected) == (2, 1)
    assert megabytes < 250
    with psycopg.connect(url) as connection:
        assert ask(connection, "select reason, octet_length(record_head), record_bytes"
                   " from ops.rejected_records") == [
            ("is longer than 32 MiB", 65536, 100 * (1 << 20) + 14)
        ]  # fmt: skip


def test_a_gzip_file_that_is_cut_off_loads_as_far_as_it_goes(
    raw: psycopg.Connection, tmp_path: Path
) -> None:
    """Catches a broken download that passes for a whole file."""
    path = write(tmp_path / "a.ndjson.gz", *[run(f"run {number}") for number in range(5000)])
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AgentbooksError, match="is a broken gzip file after line"):
        load(raw, path)
    [(loaded,)] = ask(raw, "select count(*) from ops.loaded_runs")
    assert 0 < loaded < 5000


def test_two_loaders_at_once_load_each_run_once(
    server18: TestServer, tmp_path: Path, connect: Callable[[str], psycopg.Connection]
) -> None:
    """Catches runs that two loaders both find missing, and deadlocks between them."""
    url = server18.database()
    path = tmp_path / "a.ndjson"
    simulate.write(path, days=4, runs_per_day=25, seed=3)
    summaries: list[loader.LoadSummary] = []

    def work(paths: list[Path]) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            summaries.append(loader.load_agent_runs(connection, paths))

    threads = [threading.Thread(target=work, args=([path],)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(summary.loaded for summary in summaries) == 100
    assert sum(summary.already_loaded for summary in summaries) == 200
    connection = connect(url)
    alone = connect(server18.database())
    loader.load_agent_runs(alone, [path])
    assert content(connection) == content(alone)


def test_a_loader_killed_half_way_and_run_again_ends_equal(
    server18: TestServer, tmp_path: Path, connect: Callable[[str], psycopg.Connection]
) -> None:
    """Catches batches that are half there after a crash."""
    path = tmp_path / "a.ndjson"
    simulate.write(path, days=10, runs_per_day=80, seed=5)
    url = server18.database()
    script = (
        "import sys, psycopg; from pathlib import Path; from orchestration import loader\n"
        "loader.BATCH_RECORDS = 40\n"
        "c = psycopg.connect(sys.argv[1], autocommit=True)\n"
        "loader.load_agent_runs(c, [Path(sys.argv[2])])"
    )
    connection = connect(url)
    for patience in (0.3, 0.6):
        process = subprocess.Popen([sys.executable, "-c", script, url, str(path)])
        while not ask(connection, "select count(*) > 0 from ops.loaded_runs")[0][0]:
            time.sleep(0.01)
        time.sleep(patience)
        process.send_signal(signal.SIGKILL)
        process.wait()
    [(partly,)] = ask(connection, "select count(*) from ops.loaded_runs")
    loader.load_agent_runs(connection, [path])
    alone = connect(server18.database())
    loader.load_agent_runs(alone, [path])
    assert 0 < partly <= 800
    assert content(connection) == content(alone)


def test_rows_stand_in_their_months(raw: psycopg.Connection, tmp_path: Path) -> None:
    """Catches rows that pile up in a default partition, where no month can leave."""
    runs = [run(f"{month}", started_at=f"2024-{month:02d}-03T00:00:00Z") for month in range(1, 13)]
    load(raw, write(tmp_path / "a.ndjson", *runs))
    assert ask(raw, "select count(*) from agentic.agent_decisions_default") == [(0,)]
    assert ask(raw, "select count(distinct tableoid) from agentic.agent_decisions") == [(12,)]


def test_patterns_count_their_uses(raw: psycopg.Connection, tmp_path: Path) -> None:
    """Catches counters that drift from the log they sum up."""
    path = tmp_path / "a.ndjson"
    simulate.write(path, days=5, runs_per_day=30, seed=9)
    load(raw, path)
    assert ask(
        raw,
        """
        select count(*) from traceability.success_patterns as p
        join lateral (
            select count(*) filter (where success) as good, count(*) filter (where not success) as bad,
                max(used_at) as last
            from traceability.pattern_usage_log as u where u.pattern_id = p.id
        ) as uses on true
        where (good, bad, last) is distinct from (success_count, failure_count, last_used_at)
        """,
    ) == [(0,)]
    assert ask(raw, "select sum(total_usage_count) > 0 from traceability.success_patterns") == [
        (True,)
    ]


@pytest.mark.parametrize("name", ["missing.ndjson", "."])
def test_a_file_that_cannot_be_read_is_named(
    raw: psycopg.Connection, tmp_path: Path, name: str
) -> None:
    """Catches a traceback for a typing error."""
    with pytest.raises(AgentbooksError, match=r"load: cannot read .*; check the name"):
        load(raw, tmp_path / name)


def test_a_database_without_raw_tables_is_told_to_bootstrap(
    server18: TestServer, connect: Callable[[str], psycopg.Connection], tmp_path: Path
) -> None:
    """Catches an error about a missing table that does not say which command makes it."""
    with pytest.raises(AgentbooksError, match="run `agentbooks bootstrap` first"):
        load(connect(server18.empty_database()), write(tmp_path / "a.ndjson", run()))


COUNTS = st.none() | st.integers(0, 10**6)
TEXTS = st.text(max_size=20)
USAGES = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNTS,
        "completion_tokens": COUNTS,
        "cached_tokens": COUNTS,
        "total_tokens": COUNTS,
        "extra": TEXTS | st.floats(0, 1),
    },
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
    optional={
        "content": st.none() | TEXTS | st.lists(TEXTS, max_size=2),
        "timestamp": st.none() | st.datetimes(datetime(2000, 1, 2), datetime(2099, 1, 1)).map(str),
        "cost": st.none() | st.integers(0, 10**9).map(lambda number: number / 10**7),
        "usage": USAGES,
        "tool_calls": st.none() | st.lists(
            st.fixed_dictionaries({}, optional={"id": st.sampled_from("abc"), "name": TEXTS,
                                                "arguments": st.none() | TEXTS}), max_size=3),
        "tool_call_id": st.none() | st.sampled_from("abcd"),
        "error": st.none() | st.booleans(),
    },
)  # fmt: skip
RECORDS = st.fixed_dictionaries(
    {"messages": st.none() | st.lists(MESSAGES, max_size=6)},
    optional={
        "started_at": st.none() | st.datetimes(datetime(2000, 1, 2), datetime(2099, 1, 1)).map(str),
        "ended_at": st.none() | st.datetimes(datetime(2000, 1, 2), datetime(2099, 1, 1)).map(str),
        "duration_s": st.none() | st.floats(0, 1e5, allow_nan=False),
        "success": st.none() | st.booleans(),
        "domain": st.none() | TEXTS,
        "termination_reason": st.none() | TEXTS,
        "more": st.recursive(
            st.none() | TEXTS | st.floats(-1, 1), lambda x: st.lists(x, max_size=2)
        ),
    },
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fields=st.lists(RECORDS, min_size=1, max_size=4))
def test_any_record_loads_with_all_its_money_or_is_rejected_with_a_reason(
    shared: psycopg.Connection, tmp_path: Path, fields: list[dict[str, Any]]
) -> None:
    """Catches odd but valid records that crash the loader, collide, or lose a cent on the way."""
    batch = os.urandom(8).hex()
    records = [run(f"{batch}/{number}") | more for number, more in enumerate(fields)]
    path = write(tmp_path / f"{batch}.ndjson", *records)
    summary = loader.load_agent_runs(shared, [path], date(2025, 1, 1))
    assert summary.loaded + summary.rejected == len(records)
    assert all(summary.reasons), "a reason is a sentence"
    for record in records:
        [(count,)] = shared.execute(
            "select count(*) from ops.loaded_runs where run_id = %s", (record["run_id"],)
        ).fetchall()
        if not count:
            continue
        calls = [m for m in record["messages"] or [] if m.get("usage") is not None]
        costs = [Decimal(repr(float(m["cost"]))) for m in calls if m.get("cost") is not None]
        tokens = [m["usage"].get("prompt_tokens") or 0 for m in calls]
        [found] = shared.execute(
            "select count(*) filter (where span_type = 'llm'), coalesce(sum(cost), 0),"
            " coalesce(sum((tokens ->> 'input_tokens')::numeric), 0)"
            " from observability.spans where metadata ->> 'run_id' = %s",
            (record["run_id"],),
        ).fetchall()
        assert found == (len(calls), sum(costs), sum(tokens))


@pytest.fixture(scope="module")
def shared(server18: TestServer) -> Any:
    """One database for all generated cases."""
    with psycopg.connect(server18.database(), autocommit=True) as connection:
        yield connection


@settings(max_examples=300, deadline=None)
@given(fields=RECORDS)
def test_ids_follow_from_the_record_and_never_collide(fields: dict[str, Any]) -> None:
    """Catches two rows of a run with one id, and ids that change from load to load."""
    line = json.dumps(run("x") | fields).encode()
    try:
        first = rows_of(parse(line), date(2025, 1, 1)).rows
    except Rejected:
        return
    assert rows_of(parse(line), date(2025, 1, 1)).rows == first
    for table, key in {"observability.spans": 1, "agentic.conversation_history": 1}.items():
        ids = [row[key] for row in first[table]]
        assert len(ids) == len(set(ids))


def test_the_loader_writes_only_columns_that_are_there(raw: psycopg.Connection) -> None:
    """Catches a list of columns that fell behind the tables."""
    columns = set(
        ask(
            raw,
            "select table_schema || '.' || table_name, column_name from information_schema.columns",
        )
    )
    for table, names in COLUMNS.items():
        assert {(table, name) for name in names} <= columns, table
