"""The marts against plain arithmetic over the records that were loaded."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from orchestration import loader, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import TestServer

MARTS = (
    "agent_runs",
    "cost_daily",
    "cost_hourly",
    "cost_monthly",
    "cost_movers",
    "cost_trends",
    "evaluation_warnings",
    "focus_costs",
    "focus_omissions",
    "span_costs",
    "unit_costs",
    "workflow_costs",
    "distributions_daily",
    "latency_daily",
    "users_daily",
    "task_reliability",
    "trust_progression",
    "trust_transitions",
    "trust_current",
    "pattern_effectiveness",
)

# What the engine, an application and a router write themselves, with no run behind it.
NATIVE_ROWS = """
insert into observability.traces
    (trace_id, workflow_id, execution_id, status, started_at, completed_at, error)
values
    ('11111111-1111-4111-8111-111111111111', 'wf', 'native-1', 'failed',
     '2026-06-10 23:59:59+00', '2026-06-11 00:00:09+00', 'a secret');
insert into observability.spans
    (trace_id, span_type, name, status, started_at, completed_at, tokens, cost, model)
values
    ('11111111-1111-4111-8111-111111111111', 'llm', 'answer', 'failed', '2026-06-11 00:00:00+00',
     '2026-06-11 00:00:05+00', '{"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}',
     null, 'gpt-4.1-mini'),
    ('11111111-1111-4111-8111-111111111111', 'llm', 'answer', 'completed', '2026-06-11 00:00:06+00',
     '2026-06-11 00:00:09+00', '{"total_tokens": 50}', null, 'model-nobody-sells');
insert into agentic.agents (agent_id, name, persona_type, capabilities)
values ('22222222-2222-4222-8222-222222222222', 'pair', 'developer', '{}');
insert into agentic.agent_sessions (session_id, agent_id, context, started_at, metadata)
values ('33333333-3333-4333-8333-333333333333', '22222222-2222-4222-8222-222222222222',
    '{"domain": "backend"}', '2026-06-12 10:00+00', '{"run_id": "a word of the application"}');
insert into agentic.agent_decisions
    (session_id, decision_type, input_context, action_taken, user_feedback, created_at)
select '33333333-3333-4333-8333-333333333333', 'review', '{}', '{}', feedback,
    '2026-06-12 10:00+00'::timestamptz + number * interval '1 minute'
from unnest(array['approved', 'modified', 'rejected', 'pending', null])
    with ordinality as f (feedback, number);
insert into agentic.conversation_history
    (session_id, role, content, created_at, tokens_used, model_used)
values
    ('33333333-3333-4333-8333-333333333333', 'user', 'a secret', '2026-06-12 10:01+00', 3, null),
    ('33333333-3333-4333-8333-333333333333', 'agent', 'hi', '2026-06-12 10:02+00', 7, 'gpt-4.1-mini');
insert into traceability.execution_traces
    (id, correlation_id, root_id, parent_id, session_id, source, started_at, completed_at, status, success)
values
    ('44444444-4444-4444-8444-444444444444', '55555555-5555-4555-8555-555555555555',
     '55555555-5555-4555-8555-555555555555', null, gen_random_uuid(), 'user_prompt',
     '2026-06-13 08:00+00', '2026-06-13 08:00:30+00', 'completed', true),
    (gen_random_uuid(), gen_random_uuid(), '55555555-5555-4555-8555-555555555555',
     '55555555-5555-4555-8555-555555555555', gen_random_uuid(), 'agent_delegation',
     '2026-06-13 08:00:05+00', '2026-06-13 08:00:20+00', 'completed', true);
insert into traceability.agent_routing_decisions
    (trace_id, agent_selected, confidence_score, routing_strategy)
values ('44444444-4444-4444-8444-444444444444', ' Coder ', 0.9, 'explicit');
insert into traceability.hook_executions
    (trace_id, hook_type, hook_name, execution_order, tool_name, started_at, status)
values
    ('44444444-4444-4444-8444-444444444444', 'PreToolUse', 'check', 1, 'Write', '2026-06-13 08:00:06+00',
     'completed'),
    ('44444444-4444-4444-8444-444444444444', 'PostToolUse', 'log', 2, 'Write', '2026-06-13 08:00:07+00',
     'failed');
insert into traceability.endpoint_calls
    (trace_id, service, endpoint_url, method, started_at, success, error_type)
values ('44444444-4444-4444-8444-444444444444', 'RAG', '/search?q=a secret', 'GET',
    '2026-06-13 08:00:08+00', false, 'timeout');
insert into raaf.raaf_tracing_traces (trace_id, workflow_name, status, started_at, created_at, updated_at)
values ('trace_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'Triage', 'completed', '2026-06-14 09:00+00', now(), now());
insert into raaf.raaf_tracing_spans
    (span_id, trace_id, parent_id, name, kind, status, start_time, end_time, agent_name, span_attributes,
     input_tokens, call_fee_cents)
select
    'span_00000000000000000000000' || number, 'trace_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', parent, name, kind,
    status, '2026-06-14 09:00+00', '2026-06-14 09:00:02+00', agent, attributes::jsonb, tokens, fee
from (values
    (1, null, 'job', 'job', 'ok', null, '{"input_tokens": 300, "output_tokens": 30}', null, null),
    (2, null, 'triage', 'agent', 'ok', 'Triage', '{"usage": {"input_tokens": 300}}', null, null),
    (3, 'span_000000000000000000000002', 'ask', 'llm', 'ok', null,
     '{"llm.usage.prompt_tokens": "100", "llm": {"usage": {"completion_tokens": 10}},
       "agent.model": "N/A", "llm.request.model": "gpt-4.1-mini"}', null, null),
    (4, 'span_000000000000000000000002', 'ask', 'llm', 'ok', null,
     '{"usage": {"output_tokens": 20}, "model": "gpt-4.1-mini"}', 200, null),
    (5, 'span_000000000000000000000002', 'tool', 'tool', 'error', null, '{"function.name": "search"}', null,
     2.5),
    (6, 'span_000000000000000000000002', 'handoff', 'handoff', 'ok', null,
     '{"handoff": {"from": "Triage", "to": "Solver"}}', null, null)
) as spans (number, parent, name, kind, status, agent, attributes, tokens, fee);
update raaf.raaf_tracing_spans
set events = '[{"name": "exception", "attributes": {"exception.type": "Timeout"}}]'
where span_id = 'span_000000000000000000000005';
insert into agentic.trust_metrics (session_id, metric_type, metric_value)
values ('33333333-3333-4333-8333-333333333333', 'accuracy', 90),
    ('33333333-3333-4333-8333-333333333333', 'complexity', 9);
insert into chat.users (id) values ('66666666-6666-4666-8666-666666666666');
insert into chat.agents (id, user_id, name, description)
values ('77777777-7777-4777-8777-777777777777', '66666666-6666-4666-8666-666666666666', 'Muse', 'a poet');
insert into chat.conversation_sessions (id, conversation_id, user_id, agent_id, started_at)
values ('88888888-8888-4888-8888-888888888888', '99999999-9999-4999-8999-999999999999',
    '66666666-6666-4666-8666-666666666666', '77777777-7777-4777-8777-777777777777', '2026-06-15 12:00+00');
insert into chat.chat_messages_v2
    (conversation_id, session_id, role, sender_user_id, sender_agent_id, content, metadata, created_at)
values
    ('99999999-9999-4999-8999-999999999999', '88888888-8888-4888-8888-888888888888', 'user',
     '66666666-6666-4666-8666-666666666666', null, '{"type": "text", "text": "a secret"}', '{}',
     '2026-06-15 12:00:01+00'),
    ('99999999-9999-4999-8999-999999999999', '88888888-8888-4888-8888-888888888888', 'assistant', null,
     '77777777-7777-4777-8777-777777777777', '{"type": "text", "text": "la"}',
     '{"model": "gpt-4.1-mini", "tokens": {"prompt": 40, "completion": 5, "total": 45}}',
     '2026-06-15 12:00:02+00'),
    ('99999999-9999-4999-8999-999999999999', '88888888-8888-4888-8888-888888888888', 'assistant', null,
     '77777777-7777-4777-8777-777777777777', '{"type": "text", "text": "lala"}', '{"tokens": 8}',
     '2026-06-15 12:00:03+00');
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Simulated runs, read back from their file with every number as it stands there."""
    path = tmp_path_factory.mktemp("runs") / "simulated.ndjson"
    simulate.write(path, days=14, runs_per_day=30, seed=7)
    records = [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]
    records[0]["file"] = str(path)
    return records


@pytest.fixture(scope="module")
def url(
    server18: TestServer, records: list[dict[str, Any]], build_marts: Callable[[str], None]
) -> str:
    """A database with simulated runs, rows of the source systems' own, and the marts over both."""
    from pathlib import Path

    url = server18.database()
    with psycopg.connect(url, autocommit=True) as connection:
        summary = loader.load_agent_runs(connection, [Path(records[0].pop("file"))])
        assert summary.rejected == 0, summary.reasons
        connection.execute(NATIVE_ROWS.encode())
    build_marts(url)
    return url


@pytest.fixture
def marts(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to that database, rolled back at the end."""
    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


def rows(marts: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    """Run a query."""
    return marts.execute(query.encode()).fetchall()


def calls(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Give a record's LLM calls."""
    return [message for message in record.get("messages", []) if "usage" in message]


def test_each_loaded_run_is_counted_once_with_its_own_figures(
    marts: psycopg.Connection[Any], records: list[dict[str, Any]]
) -> None:
    """Catches joins that multiply runs, and figures of one run in the row of another."""
    found = {
        row[0]: row[1:]
        for row in rows(
            marts,
            """
            select run_id, is_success, llm_calls, tool_calls, tool_errors, messages, input_tokens,
                output_tokens, fees_usd, agent_cost_recorded_usd, domain, agent_version
            from marts.agent_runs where source_system = 'observability' and agent_name is not null
            """,
        )
    }
    assert len(found) == len(records)
    for record in records:
        in_total = not calls(record) and "usage_totals" in record
        usages = [call["usage"] for call in calls(record)] or [record.get("usage_totals", {})]
        messages = record.get("messages", [])
        counts = (
            len(calls(record)),
            sum(len(message.get("tool_calls") or []) for message in messages),
            sum(bool(message.get("error")) for message in messages),
            len(messages),
        )
        parts = record.get("cost_parts_usd", {})
        fees = [parts[name] for name in parts if name not in ("llm_tokens", "total_cost")]
        assert found[record["run_id"]] == (
            record.get("success"),
            *((None,) * 4 if in_total else counts),
            sum(usage["prompt_tokens"] for usage in usages) if any(usages) else None,
            sum(usage["completion_tokens"] for usage in usages) if any(usages) else None,
            sum(fees) if fees else None,
            record.get("agent_cost_usd"),
            record["domain"],
            record["agent"].get("version"),
        ), record["run_id"]


def test_reported_costs_add_up_to_the_last_digit(
    marts: psycopg.Connection[Any], records: list[dict[str, Any]]
) -> None:
    """Catches any step that turns money into binary floating point."""
    reported: defaultdict[str, Decimal] = defaultdict(Decimal)
    for record in records:
        for call in calls(record):
            payer = "counterpart" if call["role"] == "user" else "agent"
            reported[payer] += call.get("cost") or 0
        if not calls(record) and "agent_cost_usd" in record:
            parts = record.get("cost_parts_usd", {})
            fees = sum(parts[name] for name in parts if name not in ("llm_tokens", "total_cost"))
            reported["agent"] += record["agent_cost_usd"] - fees
    found = dict(
        rows(marts, "select payer, sum(reported_cost_usd) from marts.cost_daily group by 1")
    )
    assert found == dict(reported)


@pytest.mark.parametrize(
    "dimension", ["agent_key", "workflow", "domain", "source_system", "user_key"]
)
def test_money_and_tokens_agree_between_runs_and_days(
    marts: psycopg.Connection[Any], dimension: str
) -> None:
    """Catches a cost that one mart knows and the other does not, by any dimension they share."""
    runs = rows(
        marts,
        f"""
        select {dimension}, sum(cost_usd - coalesce(fees_usd, 0)), sum(input_tokens), sum(output_tokens),
            sum(unsplit_tokens), sum(llm_calls)
        from marts.agent_runs
        where coalesce(llm_calls, 1) > 0 and num_nonnulls(input_tokens, unsplit_tokens, cost_usd) > 0
        group by 1
        """,
    )
    days = rows(
        marts,
        f"""
        select {dimension}, sum(cost_usd), sum(input_tokens), sum(output_tokens), sum(unsplit_tokens),
            sum(llm_calls)
        from marts.cost_daily group by 1
        """,
    )

    def known(figures: list[tuple[Any, ...]]) -> dict[Any, tuple[Any, ...]]:
        return {key: tuple(value or 0 for value in values) for key, *values in figures}

    assert known(runs) == known(days)


def test_every_call_is_reported_computed_or_unpriced(marts: psycopg.Connection[Any]) -> None:
    """Catches calls that no cost column and no counter admits to."""
    assert rows(
        marts,
        "select count(*) from marts.cost_daily"
        " where calls_reported + calls_computed + calls_unpriced <> llm_calls",
    ) == [(0,)]
    assert rows(marts, "select sum(calls_reported) > 0, sum(calls_computed) > 0,"
                " sum(calls_unpriced) > 0 from marts.cost_daily") == [(True, True, True)]  # fmt: skip


def test_pass_hat_k_is_the_share_of_draws_that_all_succeed(
    marts: psycopg.Connection[Any], records: list[dict[str, Any]]
) -> None:
    """Catches a wrong estimator: here every draw of k trials is written out and counted."""
    trials: defaultdict[tuple[Any, ...], defaultdict[str, list[bool]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for record in records:
        agent = record["agent"]
        if "success" in record and record.get("task_id") is not None:
            group = (agent["name"], agent.get("version"), agent.get("model"), record["domain"])
            trials[group][record["task_id"]].append(record["success"])
    compared = 0
    for group, tasks in trials.items():
        for k in range(1, 5):
            shares = [
                Decimal(sum(all(draw) for draw in combinations(results, k)))
                / sum(1 for _ in combinations(results, k))
                for results in tasks.values()
                if len(results) >= k
            ]
            [(found_tasks, found)] = marts.execute(
                "select tasks, pass_hat_k from marts.task_reliability where (agent_name,"
                " agent_version, model_recorded, domain, k) is not distinct from"
                " (%s::text, %s::text, %s::text, %s::text, %s)",
                (*group, k),
            ).fetchall()
            assert found_tasks == len(shares)
            if shares:
                assert float(found) == pytest.approx(float(sum(shares) / len(shares)))
                compared += k > 1
    assert compared > 0


def test_trust_counts_every_judged_decision_up_to_the_day(
    marts: psycopg.Connection[Any], records: list[dict[str, Any]]
) -> None:
    """Catches days that count later decisions, or miss earlier ones."""
    judged: Counter[tuple[str, str | None]] = Counter()
    for record in records:
        if "success" in record:
            judged[record["agent"]["name"], record["agent"].get("version")] += 1
    found = rows(
        marts,
        """
        select agent_name, agent_version, sum(decisions)::int
        from marts.trust_current
        inner join (select distinct agent_key, agent_name, agent_version, source_system
            from marts.agent_runs) as agents using (agent_key)
        where source_system = 'observability'
        group by 1, 2
        """,
    )
    assert {(name, version): count for name, version, count in found} == judged
    falling = rows(
        marts,
        """
        select count(*) from (
            select decisions <= lag(decisions) over (
                partition by agent_key, domain order by as_of_date
            ) as falls
            from marts.trust_progression
        ) as steps where falls
        """,
    )
    assert falling == [(0,)]


def test_a_users_name_is_nowhere_in_the_marts(
    marts: psycopg.Connection[Any], records: list[dict[str, Any]]
) -> None:
    """Catches a person who can be read off the product's API."""
    users = {record["user_id"] for record in records if record.get("user_id")}
    users.add("66666666-6666-4666-8666-666666666666")
    assert len(users) > 1
    for mart in MARTS:
        [(text,)] = rows(
            marts, f"select coalesce(string_agg(m::text, ''), '') from marts.{mart} as m"
        )
        assert not any(user in text for user in users), mart
    [(keys,)] = rows(marts, "select count(distinct user_key) from marts.agent_runs")
    assert keys == len(users)


def test_what_was_said_stays_in_the_raw_layer(marts: psycopg.Connection[Any]) -> None:
    """Catches a staging view that reads texts, which have to leave before their rows do."""
    views = rows(marts, "select viewname from pg_views where schemaname = 'staging'")
    assert len(views) > 30
    for (view,) in views:
        assert rows(
            marts, f"select count(*) from staging.{view} as v where v::text ~ 'a secret'"
        ) == [(0,)], f"leave texts out of {view}"


def test_rows_of_the_systems_themselves_become_runs(marts: psycopg.Connection[Any]) -> None:
    """Catches sources that only work for loaded runs."""
    found = rows(
        marts,
        """
        select source_system, run_id, agent_name, status, is_success, llm_calls, tool_calls, tool_errors,
            messages, input_tokens, unsplit_tokens, duration_ms
        from marts.agent_runs
        where run_id ~ '^(1{8}|3{8}|4{8}|8{8})-|^trace_'
        order by 1
        """,
    )
    assert found == [
        ("agentic", "33333333-3333-4333-8333-333333333333", "pair", "running", None, 1, 0, 0, 2, None, 7,
         None),
        ("chat", "88888888-8888-4888-8888-888888888888", "muse", "running", None, 2, 0, 0, 3, 40, 8, None),
        ("observability", "11111111-1111-4111-8111-111111111111", None, "failed", None, 2, 0, 0, 0, 1000,
         50, Decimal(10000)),
        ("raaf", "trace_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "triage", "succeeded", None, 2, 1, 1, 0, 300,
         None, Decimal(2000)),
        ("traceability", "44444444-4444-4444-8444-444444444444", "coder", "succeeded", True, 0, 1, 1, 0,
         None, None, Decimal(30000)),
    ]  # fmt: skip


def test_spans_that_repeat_their_childrens_tokens_cost_once(marts: psycopg.Connection[Any]) -> None:
    """Catches agent and job spans of the agent framework counted beside their LLM spans."""
    assert rows(
        marts,
        "select llm_calls, input_tokens, output_tokens, cost_usd from marts.cost_daily"
        " where source_system = 'raaf'",
    ) == [(2, 300, 30, Decimal("0.000168"))]
    assert rows(marts, "select fees_usd from marts.agent_runs where source_system = 'raaf'") == [
        (Decimal("0.025"),)
    ]


def test_failures_and_handoffs_of_all_systems_have_one_shape(
    marts: psycopg.Connection[Any],
) -> None:
    """Catches a system whose failing steps or delegations are in no run."""
    native = "run_id ~ '^(1{8}|4{8})-|^trace_'"
    failures = rows(
        marts,
        "select source_system, step, error_type from intermediate.int_errors__unioned"
        f" where {native} order by 1, 2",
    )
    assert failures == [
        ("observability", "llm", "unclassified"),
        ("observability", "run", "unclassified"),
        ("raaf", "tool", "Timeout"),
        ("traceability", "endpoint_call", "timeout"),
        ("traceability", "hook", "unclassified"),
    ]
    handoffs = rows(
        marts,
        "select source_system, from_agent_name, to_agent_name"
        f" from intermediate.int_handoffs__unioned where {native} order by 1",
    )
    assert handoffs == [("raaf", "triage", "solver"), ("traceability", "coder", None)]


def test_metrics_of_any_scale_come_as_shares(marts: psycopg.Connection[Any]) -> None:
    """Catches a complexity of 9 in 10 that is compared with an accuracy of 90 in 100."""
    assert rows(
        marts,
        "select metric_type, metric_value from staging.stg_agentic__trust_metrics order by 1",
    ) == [("accuracy", Decimal("0.9")), ("complexity", Decimal("0.9"))]


def test_a_call_counts_on_its_own_day_and_unknown_cost_stays_unknown(
    marts: psycopg.Connection[Any],
) -> None:
    """Catches calls filed under their run's day, and unknown models that cost nothing."""
    found = rows(
        marts,
        """
        select usage_date::text, model_recorded, llm_calls, cost_usd, calls_computed, calls_unpriced
        from marts.cost_daily
        where workflow = 'wf' order by model_recorded
        """,
    )
    # 1,000 tokens in at 0.40 and 100 out at 1.60 USD per million.
    assert found == [
        ("2026-06-11", "gpt-4.1-mini", 1, Decimal("0.00056"), 1, 0),
        ("2026-06-11", "model-nobody-sells", 1, None, 0, 1),
    ]


def test_feedback_that_is_pending_or_missing_is_no_evidence(marts: psycopg.Connection[Any]) -> None:
    """Catches pending decisions counted as failures."""
    assert rows(
        marts,
        "select decisions, successes, level from marts.trust_current where domain = 'backend'",
    ) == [(3, 1, 0)]


def test_a_second_build_changes_no_row(
    url: str, marts: psycopg.Connection[Any], build_marts: Callable[[str], None]
) -> None:
    """Catches build times, random keys, unordered aggregates, and columns made anew each time."""
    query = "select md5(string_agg(m::text, chr(10) order by m::text)) from marts.{} as m"
    columns = (
        "select attrelid::regclass::text, attname, attnum from pg_attribute"
        " where attrelid in (select oid from pg_class where relnamespace = 'marts'::regnamespace)"
        " order by 1, 3"
    )
    before = {mart: rows(marts, query.format(mart)) for mart in MARTS}
    columns_before = rows(marts, columns)
    marts.rollback()
    build_marts(url)
    assert {mart: rows(marts, query.format(mart)) for mart in MARTS} == before
    assert rows(marts, columns) == columns_before


@pytest.mark.parametrize(
    "relation",
    ["observability.traces", "staging.stg_observability__traces", "intermediate.int_runs__unioned",
     "agentic.conversation_history", "ops.pseudonym_salt", "seeds.trust_levels"],
)  # fmt: skip
def test_readers_of_the_marts_can_read_nothing_else(
    marts: psycopg.Connection[Any], relation: str
) -> None:
    """Catches a grant that lets a BI tool at prompts or persons."""
    [(count,)] = rows(marts, f"select count(*) from {relation}")
    assert count > 0, "the negative control: the row exists for the owner"
    marts.execute("set local role bi_reader")
    for mart in MARTS:
        marts.execute(f"select 1 from marts.{mart} limit 1".encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        marts.execute(f"select 1 from {relation} limit 1".encode())
