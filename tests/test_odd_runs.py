"""Records at the edge of what the loader takes: each was once lost, doubled, or ended the load."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestration import loader
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from conftest import TestServer

CALL = {"role": "assistant", "usage": {"prompt_tokens": 1}}


def run(run_id: str, **fields: Any) -> bytes:
    """Write a small record as a line; a field that is bytes stands in it as it is."""
    record = {
        "schema": "agent-run/1",
        "run_id": run_id,
        "agent": {"name": "helper"},
        "started_at": "2026-03-01T10:00:00Z",
    } | fields
    parts = (
        b"%s: %s" % (json.dumps(key).encode(), value)
        if isinstance(value, bytes)
        else json.dumps({key: value})[1:-1].encode()
        for key, value in record.items()
    )
    return b"{" + b", ".join(parts) + b"}"


@pytest.fixture
def load(raw: psycopg.Connection, tmp_path: Path) -> Callable[..., loader.LoadSummary]:
    """Load lines as one file."""

    def load(*lines: bytes) -> loader.LoadSummary:
        path = tmp_path / "runs.ndjson"
        path.write_bytes(b"\n".join(lines))
        return loader.load_agent_runs(raw, [path])

    return load


def reasons(raw: psycopg.Connection) -> list[str]:
    """Why records were rejected, in the file's order."""
    query = "select reason from ops.rejected_records order by source_line"
    return [reason for (reason,) in raw.execute(query)]


def test_a_correction_behind_a_flawed_record_loads(
    raw: psycopg.Connection, load: Callable[..., loader.LoadSummary]
) -> None:
    """The corrected run refused as loaded before, because its flawed first version stood above it."""
    summary = load(
        run("a", ended_at="2026-02-01"),
        run("a", ended_at="2026-02-01"),
        run("a", ended_at="2026-04-01"),
        run("a", ended_at="2026-04-01"),
        run("a", ended_at="2026-05-01"),
    )
    assert (summary.loaded, summary.already_loaded, summary.rejected) == (1, 1, 3)
    conflict = "run 'a' was loaded before with other content"
    assert reasons(raw) == ["ends before it starts"] * 2 + [conflict]


def test_a_correction_behind_a_record_that_the_database_refused_loads(
    raw: psycopg.Connection, load: Callable[..., loader.LoadSummary]
) -> None:
    """A repeated record counted as loaded, although the database had refused the first."""
    refused = run("a", agent={"name": "x" * 101})
    summary = load(run("b"), refused, refused, run("a"), refused, run("c"))
    assert (summary.loaded, summary.already_loaded, summary.rejected) == (3, 0, 3)
    assert [reason.split(":")[0] for reason in reasons(raw)] == [
        "the database refused it",
        "the database refused it",
        "run 'a' was loaded before with other content",
    ]


def test_a_month_is_that_of_utc(
    raw: psycopg.Connection, load: Callable[..., loader.LoadSummary]
) -> None:
    """Rows of the first hours of a month, east of Greenwich, in the default partition for ever."""
    load(run("a", started_at="2019-02-01T00:30:00+05:30", success=True, messages=[CALL]))
    for table in loader.PARTITIONED:
        assert raw.execute(f"select count(*) from {table}_default".encode()).fetchone() == (0,)
    query = "select tableoid::regclass::text, started_at from observability.spans"
    assert [partition for partition, _ in raw.execute(query)] == ["observability.spans_y2019m01"]


def test_only_months_with_rows_get_a_partition(
    raw: psycopg.Connection, load: Callable[..., loader.LoadSummary]
) -> None:
    """Twelve hundred partitions of each table, or no memory for locks, after one wrong clock."""
    load(
        run("a", started_at="2000-01-01T00:00:00Z", messages=[CALL]),
        run("b", started_at="2099-12-31T23:59:59Z", messages=[CALL]),
    )
    query = "select count(*) from pg_inherits where inhparent = 'observability.spans'::regclass"
    assert (raw.execute(query).fetchone() or (99,))[0] < 10


@pytest.mark.parametrize(
    "amount", ["0.1234567890123456789012345", "1e-20", "0", "12345678901.123456789", "3E-7"]
)
def test_an_amount_keeps_every_digit(
    raw: psycopg.Connection, load: Callable[..., loader.LoadSummary], amount: str
) -> None:
    """Money rounded to what a binary number can hold."""
    message = b'[{"role": "assistant", "usage": {}, "cost": %s}]' % amount.encode()
    load(run("a", messages=message, agent_cost_usd=amount.encode(), unknown=amount.encode()))
    assert raw.execute(
        "select t.total_cost, s.cost, (t.metadata ->> 'unknown')::numeric"
        " from observability.traces as t join observability.spans as s using (trace_id)"
    ).fetchall() == [(Decimal(amount),) * 3]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"agent_cost_usd": b"1e400"}, "field agent_cost_usd: expected `float` <= "),
        ({"unknown": b"1e99999999999999999999"}, "has a number that is out of any range"),
        ({"unknown": b"1e999999999"}, "the database refused it: "),
        ({"duration_s": b"1e308"}, "field duration_s is longer than a century"),
        ({"duration_s": b"1e308", "ended_at": "2026-03-02"}, "longer than a century"),
        ({"schema": ["x" * 10**6]}, "field schema is ["),
        ({"started_at": "x" * 10**6}, "field started_at is 'xxx"),
        ({"messages": [CALL | {"tool_calls": [{}] * 70_000}]}, "of length <= 65536"),
    ],
)
def test_an_extreme_value_is_rejected_with_a_short_reason(
    raw: psycopg.Connection,
    load: Callable[..., loader.LoadSummary],
    fields: dict[str, Any],
    reason: str,
) -> None:
    """One absurd number that ends the load, or a reason as long as the record."""
    summary = load(run("bad", **fields), run("good"))
    assert (summary.loaded, summary.rejected) == (1, 1)
    [found] = reasons(raw)
    assert reason in found
    assert len(found) < 300


def test_any_depth_loads_or_is_rejected(
    raw: psycopg.Connection, load: Callable[..., loader.LoadSummary]
) -> None:
    """A record that can just be read, and ends the load when it is written."""
    depths = [*range(1, 930, 37), *range(930, 1010)]
    lines = [
        run(f"{name} {depth}", unknown=b"[" * depth + b"1" + b"]" * depth, name=name)
        for depth in depths
        for name in ("plain", "password")  # credentials are looked for at every depth
    ]
    summary = load(*lines)
    assert summary.loaded > 20
    assert summary.loaded + summary.rejected == len(lines)
    assert set(reasons(raw)) == {"is nested too deeply"}


def test_a_result_that_calls_tools_itself_has_its_own_id(
    raw: psycopg.Connection, load: Callable[..., loader.LoadSummary]
) -> None:
    """A run refused because a result without a call and the call beside it shared an id."""
    message = {"role": "tool", "tool_call_id": "x", "tool_calls": [{"id": "y", "name": "look"}]}
    assert load(run("a", messages=[message])).loaded == 1
    query = "select name, status from observability.spans order by name"
    assert raw.execute(query).fetchall() == [("look", "cancelled"), ("unknown", "completed")]


def test_tokens_given_under_two_names_count_once(
    raw: psycopg.Connection, load: Callable[..., loader.LoadSummary]
) -> None:
    """A count that the schema knows overwritten by one that only has its new name."""
    usages = [
        {"prompt_tokens": 5, "input_tokens": 7},
        {"input_tokens": 7, "prompt_tokens": 5},
        {"input_tokens": 7, "prompt_tokens": None},
    ]
    load(run("a", messages=[{"role": "assistant", "usage": usage} for usage in usages]))
    assert raw.execute(
        "select tokens, metadata -> 'usage' from observability.spans order by metadata -> 'i'"
    ).fetchall() == [
        ({"input_tokens": 5}, {"input_tokens": 7}),
        ({"input_tokens": 5}, {"input_tokens": 7}),
        ({"input_tokens": 7}, None),
    ]


def test_a_file_name_need_not_be_utf8(raw: psycopg.Connection, tmp_path: Path) -> None:
    """A file that cannot be loaded because of its name."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/runs_\xe4.ndjson"))
    path.write_bytes(run("a"))
    assert loader.load_agent_runs(raw, [path]).loaded == 1
    query = "select source_file like '%/runs_?.ndjson' from ops.loaded_runs"
    assert raw.execute(query).fetchall() == [(True,)]


def test_a_role_without_rights_is_told_which_to_ask_for(
    server18: TestServer, connect: Callable[[str], psycopg.Connection], tmp_path: Path
) -> None:
    """A traceback for whoever forgot which user to connect as."""
    url, name = server18.database(), f"reader_{server18.made}"
    connect(url).execute(f"create role {name} login".encode())
    with pytest.raises(AgentbooksError, match=f"`grant agentbooks_loader to {name}`"):
        loader.load_agent_runs(connect(url.replace("postgres@", f"{name}@")), [])
