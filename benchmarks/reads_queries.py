"""The queries that `benchmarks.reads` measures, by source system.

They are those that the systems' screens and agents send, each with the index that is there for it.
`authenticated` is a person with a user and a tenant; `service_role` is the application's own server,
which no policy binds. Containment (@> on JSON and arrays) is measured as the server's question: the
operator is not leakproof, so that under a policy PostgreSQL never looks it up in an index. The few
rows that contain a value are found first and sorted then: of a value that is a bound in a column's
histogram PostgreSQL expects a hundredth of all rows, and would look for the newest through all time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """A query with its parameters and what is expected of its plan."""

    name: str
    role: str
    table: str
    # One of these must be used; two where the planner may well take either.
    indexes: tuple[str, ...]
    # Its placeholders are columns of the parameters, and the limit.
    sql: str
    # One row an execution, from n on; $size stands for the spans and messages that there are.
    # user_id and tenant_id say who asks.
    parameters: str
    limit: int | None = None
    # How many months the question is about; None: it does not say.
    months: int | None = None


USER = "authenticated"
SERVER = "service_role"

# Whoever is busy in the data asks often.
OWN_AGENT = """
    select
        'agent ' || a as agent_name, 'workflow ' || a % 500 as workflow_name, 'Class' || a as class,
        'tenant ' || a % 10 as tenant_id,
        timestamptz '2025-11-30 00:00+00' - n % 150 * interval '1 day' as before
    from generate_series(1, $executions) as n
    cross join lateral (select bench.skewed(n, 11, 2000) as a) as agent
"""
VALUES = """
    select
        bench.pick(n, 11, 10000) as rare, bench.pick(n, 11, 1000) as common,
        timestamptz '2025-11-30 00:00+00' - n % 150 * interval '1 day' as before
    from generate_series(1, $executions) as n
"""
OWN_TRACE = """
    select
        t.trace_id, t.workflow_id, t.user_id, t.tenant_id,
        timestamptz '2025-11-30 00:00+00' - n % 80 * interval '1 day' as before
    from generate_series(1, $executions) as n
    join observability.traces as t on t.trace_id = bench.id('trace', bench.pick(n, 11, $size / 20))
"""
# People look at what they did of late.
OWN_EXECUTION = """
    select
        t.id as trace_id, t.session_id, t.root_id, t.user_id, t.tenant_id,
        'Error' || n % 20 as error_type,
        timestamptz '2025-11-30 00:00+00' - n % 150 * interval '1 day' as before
    from generate_series(1, $executions) as n
    join traceability.execution_traces as t
        on t.id = bench.id('trace', $size / 20 - 1 - bench.pick(n, 11, $size / 200))
"""
PATTERN = """
    select
        bench.id('pattern', p) as pattern_id, bench.embedding(p + 100000, 1000)::text as embedding,
        'keyword ' || bench.pick(n, 12, 5000) as keyword, 'tenant ' || p % 10 as tenant_id
    from generate_series(1, $executions) as n
    cross join lateral (select bench.skewed(n, 11, 100000) as p) as pattern
"""
OWN_CHAT_SESSION = """
    select s.id as session_id, s.conversation_id, s.user_id, s.tenant_id
    from generate_series(1, $executions) as n
    join chat.conversation_sessions as s
        on s.id = bench.id('session', bench.pick(n, 11, $size / 100))
"""
OWN_LONG_CHAT_SESSION = """
    select
        s.id as session_id, s.user_id, s.tenant_id,
        timestamptz '2025-12-01 00:00+00' - n * interval '20 hours' as before
    from generate_series(1, $executions) as n
    join chat.conversation_sessions as s
        on s.id = bench.id('session', bench.pick(n, 11, $size / 100000) * 1000)
"""
OWN_CHAT_AGENT = """
    select
        a.id as agent_id, a.user_id, a.tenant_id, bench.embedding(n + 20000, 200)::text as embedding
    from generate_series(1, $executions) as n
    join chat.agents as a on a.id = bench.id('agent', n % 10 + 10 * bench.skewed(n, 1, 200))
"""
OWN_SESSION = """
    select s.session_id, s.agent_id, s.user_id, s.tenant_id
    from generate_series(1, $executions) as n
    join agentic.agent_sessions as s
        on s.session_id = bench.id('session', bench.pick(n, 11, $size / 100))
"""
OWN_LONG_SESSION = """
    select
        s.session_id, s.user_id, s.tenant_id,
        timestamptz '2025-12-01 00:00+00' - n * interval '20 hours' as before
    from generate_series(1, $executions) as n
    join agentic.agent_sessions as s
        on s.session_id = bench.id('session', bench.pick(n, 11, $size / 100000) * 1000)
"""
AGENT = """
    select
        s.agent_id, s.tenant_id, bench.embedding(n * 10 + right(s.tenant_id, 1)::int, 200)::text as embedding,
        (array['code_generation', 'review', 'test', 'refactor', 'design', 'documentation'])[
            1 + n % 6
        ] as decision_type,
        timestamptz '2025-11-30 00:00+00' - n % 150 * interval '1 day' as before
    from generate_series(1, $executions) as n
    join agentic.agent_sessions as s
        on s.session_id = bench.id('session', bench.pick(n, 11, $size / 100))
"""

QUERIES = (
    Query(
        "raaf: spans of an agent, a week",
        USER,
        "raaf.raaf_tracing_spans",
        ("idx_raaf_tracing_spans_agent_time",),
        """
        select span_id, trace_id, status, start_time, duration_ms, input_context, output_context
        from raaf.raaf_tracing_spans
        where agent_name = %(agent_name)s
            and start_time >= %(before)s - interval '7 days' and start_time < %(before)s
        order by start_time desc
        limit %(limit)s
        """,
        OWN_AGENT,
        limit=50,
        months=2,
    ),
    Query(
        "raaf: traces of a workflow",
        USER,
        "raaf.raaf_tracing_traces",
        ("idx_raaf_tracing_traces_workflow_time",),
        """
        select trace_id, status, started_at, ended_at, metadata
        from raaf.raaf_tracing_traces
        where workflow_name = %(workflow_name)s and started_at < %(before)s
        order by started_at desc
        limit %(limit)s
        """,
        OWN_AGENT,
        limit=50,
    ),
    Query(
        "raaf: span tree of a trace",
        USER,
        "raaf.raaf_tracing_spans",
        ("idx_raaf_tracing_spans_trace_parent",),
        """
        with recursive tree as (
            select span_id, parent_id, 0 as depth, name, kind, status, start_time, duration_ms
            from raaf.raaf_tracing_spans
            where trace_id = %(trace_id)s and parent_id is null
            union all
            select
                s.span_id, s.parent_id, t.depth + 1, s.name, s.kind, s.status, s.start_time,
                s.duration_ms
            from tree as t
            join raaf.raaf_tracing_spans as s
                on s.trace_id = %(trace_id)s and s.parent_id = t.span_id
        )

        select * from tree order by start_time limit %(limit)s
        """,
        """
        select t.trace_id, t.tenant_id
        from generate_series(1, $executions) as n
        join raaf.raaf_tracing_traces as t
            on t.trace_id = 'trace_' || md5(bench.pick(n, 11, $size / 20)::text)
        """,
    ),
    Query(
        "raaf: a span by its id",
        SERVER,
        "raaf.raaf_tracing_spans",
        ("idx_raaf_tracing_spans_span_id",),
        "select * from raaf.raaf_tracing_spans where span_id = %(span_id)s limit %(limit)s",
        """
        select 'span_' || md5(bench.pick(n, 11, $size)::text) as span_id
        from generate_series(1, $executions) as n
        """,
        limit=1,
    ),
    Query(
        "raaf: errors of a day",
        USER,
        "raaf.raaf_tracing_spans",
        ("idx_raaf_tracing_spans_status",),
        """
        select span_id, trace_id, name, kind, start_time, events
        from raaf.raaf_tracing_spans
        where status = 'error'
            and start_time >= %(before)s - interval '1 day' and start_time < %(before)s
        order by start_time desc
        limit %(limit)s
        """,
        OWN_AGENT,
        limit=50,
        months=1,
    ),
    Query(
        "raaf: spans of an agent's class",
        SERVER,
        "raaf.raaf_tracing_spans",
        ("idx_raaf_tracing_spans_agent_class",),
        """
        select span_id, trace_id, status, start_time, execution_metadata
        from raaf.raaf_tracing_spans
        where execution_metadata ->> 'agent_class' = %(class)s
            and start_time >= %(before)s - interval '30 days' and start_time < %(before)s
        order by start_time desc
        limit %(limit)s
        """,
        OWN_AGENT,
        limit=50,
        months=2,
    ),
    Query(
        "raaf: input contains two values",
        SERVER,
        "raaf.raaf_tracing_spans",
        ("idx_raaf_tracing_spans_input_context",),
        """
        with found as materialized (
            select span_id, trace_id, start_time, input_context
            from raaf.raaf_tracing_spans
            where input_context @> jsonb_build_object(
                'data', jsonb_build_object('customer', %(rare)s::int, 'analysis_type', 'type 1')
            )
        )

        select * from found order by start_time desc limit %(limit)s
        """,
        VALUES,
        limit=50,
    ),
    Query(
        "raaf: input contains a common value",
        SERVER,
        "raaf.raaf_tracing_spans",
        ("idx_raaf_tracing_spans_recent",),
        """
        select span_id, trace_id, start_time, input_context
        from raaf.raaf_tracing_spans
        where input_context @> '{"data": {"analysis_type": "type 1"}}'
            and start_time >= %(before)s - interval '7 days' and start_time < %(before)s
        order by start_time desc
        limit %(limit)s
        """,
        VALUES,
        limit=50,
        months=2,
    ),
    Query(
        "raaf: exceptions of a type, a month",
        SERVER,
        "raaf.raaf_tracing_spans",
        ("idx_raaf_tracing_spans_events",),
        """
        with found as materialized (
            select span_id, trace_id, start_time, events
            from raaf.raaf_tracing_spans
            where events @> jsonb_build_array(jsonb_build_object(
                'attributes', jsonb_build_object('exception.type', 'Error' || %(common)s)
            ))
                and start_time >= %(before)s - interval '30 days' and start_time < %(before)s
        )

        select * from found order by start_time desc limit %(limit)s
        """,
        VALUES,
        limit=50,
        months=2,
    ),
    Query(
        "observability: own traces of a workflow",
        USER,
        "observability.traces",
        ("idx_traces_workflow_started", "idx_traces_user_started"),
        """
        select trace_id, status, query, started_at, total_cost
        from observability.traces
        where workflow_id = %(workflow_id)s and started_at < %(before)s
        order by started_at desc
        limit %(limit)s
        """,
        OWN_TRACE,
        limit=50,
    ),
    Query(
        "observability: history for a forecast",
        SERVER,
        "observability.traces",
        ("idx_traces_workflow_started",),
        """
        select started_at, total_cost
        from observability.traces
        where workflow_id = %(workflow_id)s
            and started_at >= %(before)s - interval '90 days' and started_at < %(before)s
        order by started_at desc
        limit %(limit)s
        """,
        OWN_TRACE,
        limit=1000,
    ),
    Query(
        "observability: own traces",
        USER,
        "observability.traces",
        ("idx_traces_user_started",),
        """
        select trace_id, workflow_id, status, query, started_at, total_cost
        from observability.traces
        where started_at < %(before)s
        order by started_at desc
        limit %(limit)s
        """,
        OWN_TRACE,
        limit=50,
    ),
    Query(
        "observability: steps of a trace",
        USER,
        "observability.spans",
        ("idx_spans_trace_started",),
        """
        select span_id, parent_span_id, span_type, name, status, started_at, duration_ms, cost
        from observability.spans
        where trace_id = %(trace_id)s
        order by started_at
        limit %(limit)s
        """,
        OWN_TRACE,
    ),
    Query(
        "observability: metadata contains a value, a month",
        SERVER,
        "observability.spans",
        ("idx_spans_metadata_gin",),
        """
        with found as materialized (
            select trace_id, span_id, name, started_at, cost
            from observability.spans
            where metadata @> jsonb_build_object('node', %(rare)s::int)
                and started_at >= %(before)s - interval '30 days' and started_at < %(before)s
        )

        select * from found order by started_at desc limit %(limit)s
        """,
        VALUES,
        limit=50,
        months=2,
    ),
    Query(
        "traceability: own traces",
        USER,
        "traceability.execution_traces",
        ("idx_trace_user",),
        """
        select id, prompt_text, started_at, status, success
        from traceability.execution_traces
        where started_at < %(before)s
        order by started_at desc
        limit %(limit)s
        """,
        OWN_EXECUTION,
        limit=50,
    ),
    Query(
        "traceability: summaries of a session",
        USER,
        "traceability.execution_traces",
        ("idx_trace_session",),
        """
        select *
        from traceability.trace_summary
        where session_id = %(session_id)s
        order by started_at desc
        limit %(limit)s
        """,
        OWN_EXECUTION,
        limit=20,
    ),
    Query(
        "traceability: timeline of a prompt",
        USER,
        "traceability.hook_executions",
        ("idx_trace_root",),
        "select * from traceability.get_trace_timeline(%(root_id)s) limit %(limit)s",
        OWN_EXECUTION,
    ),
    Query(
        "traceability: hooks of a trace",
        USER,
        "traceability.hook_executions",
        ("idx_hook_trace_order",),
        """
        select id, hook_type, hook_name, tool_name, started_at, duration_ms, status
        from traceability.hook_executions
        where trace_id = %(trace_id)s
        order by execution_order
        limit %(limit)s
        """,
        OWN_EXECUTION,
    ),
    Query(
        "traceability: errors of a hook, a month",
        SERVER,
        "traceability.hook_executions",
        ("idx_hook_error_type",),
        """
        select id, trace_id, hook_name, tool_name, started_at, error_message
        from traceability.hook_executions
        where error_type = %(error_type)s and hook_type = 'PreToolUse'
            and started_at >= %(before)s - interval '30 days' and started_at < %(before)s
        order by started_at desc
        limit %(limit)s
        """,
        OWN_EXECUTION,
        limit=50,
        months=2,
    ),
    Query(
        "traceability: activity of an hour",
        SERVER,
        "traceability.execution_traces",
        ("idx_trace_started_at",),
        """
        select status, count(*)
        from traceability.execution_traces
        where started_at >= %(before)s - interval '1 hour' and started_at < %(before)s
        group by status
        limit %(limit)s
        """,
        OWN_EXECUTION,
    ),
    Query(
        "traceability: similar patterns",
        USER,
        "traceability.success_patterns",
        ("idx_pattern_embedding",),
        """
        select *
        from traceability.find_similar_patterns(%(embedding)s::public.vector, 0.7, %(limit)s)
        """,
        PATTERN,
        limit=5,
    ),
    Query(
        "traceability: patterns with a keyword",
        SERVER,
        "traceability.success_patterns",
        ("idx_pattern_keywords",),
        """
        with found as materialized (
            select id, keywords, success_rate
            from traceability.success_patterns
            where keywords @> array[%(keyword)s]
        )

        select * from found order by success_rate desc nulls last limit %(limit)s
        """,
        PATTERN,
        limit=10,
    ),
    Query(
        "traceability: best patterns",
        SERVER,
        "traceability.success_patterns",
        ("idx_pattern_success_rate",),
        """
        select *
        from traceability.pattern_effectiveness
        order by success_rate desc nulls last, total_usage_count desc
        limit %(limit)s
        """,
        PATTERN,
        limit=10,
    ),
    Query(
        "traceability: usage of a pattern",
        SERVER,
        "traceability.pattern_usage_log",
        ("idx_usage_pattern_used",),
        """
        select id, trace_id, used_at, match_score, success
        from traceability.pattern_usage_log
        where pattern_id = %(pattern_id)s
        order by used_at desc
        limit %(limit)s
        """,
        PATTERN,
        limit=50,
    ),
    Query(
        "chat: recent messages of a session of 10,000",
        USER,
        "chat.chat_messages_v2",
        ("idx_messages_session",),
        """
        select id, role, content, metadata, created_at
        from chat.chat_messages_v2
        where session_id = %(session_id)s and created_at < %(before)s
        order by created_at desc
        limit %(limit)s
        """,
        OWN_LONG_CHAT_SESSION,
        limit=20,
    ),
    Query(
        "chat: a conversation in order",
        USER,
        "chat.chat_messages_v2",
        ("idx_messages_conversation",),
        """
        select id, role, content, created_at
        from chat.chat_messages_v2
        where conversation_id = %(conversation_id)s
        order by created_at
        limit %(limit)s
        """,
        OWN_CHAT_SESSION,
        limit=100,
    ),
    Query(
        "chat: own sessions",
        USER,
        "chat.conversation_sessions",
        ("idx_sessions_user",),
        """
        select id, agent_id, started_at, status, message_count
        from chat.conversation_sessions
        order by started_at desc
        limit %(limit)s
        """,
        OWN_CHAT_SESSION,
        limit=20,
    ),
    Query(
        "chat: content contains a value, a month",
        SERVER,
        "chat.chat_messages_v2",
        ("idx_messages_content_gin",),
        """
        with found as materialized (
            select id, session_id, content, created_at
            from chat.chat_messages_v2
            where content @> jsonb_build_object('language', 'topic ' || %(rare)s)
                and created_at >= %(before)s - interval '30 days' and created_at < %(before)s
        )

        select * from found order by created_at desc limit %(limit)s
        """,
        VALUES,
        limit=50,
        months=2,
    ),
    Query(
        "chat: metadata contains a request",
        SERVER,
        "chat.chat_messages_v2",
        ("idx_messages_metadata_gin",),
        """
        with found as materialized (
            select id, session_id, metadata, created_at
            from chat.chat_messages_v2
            where metadata @> jsonb_build_object('request_id', %(rare)s::text)
        )

        select * from found order by created_at desc limit %(limit)s
        """,
        VALUES,
        limit=50,
    ),
    Query(
        "chat: memories of an agent",
        USER,
        "chat.agent_memories",
        ("idx_memories_agent_type",),
        """
        select id, content, importance
        from chat.agent_memories
        where agent_id = %(agent_id)s and memory_type = 'semantic'
        order by importance desc
        limit %(limit)s
        """,
        OWN_CHAT_AGENT,
        limit=20,
    ),
    Query(
        "chat: similar memories of an agent",
        USER,
        "chat.agent_memories",
        ("idx_memories_agent_type",),
        """
        select *
        from chat.find_similar_memories(
            %(agent_id)s, %(embedding)s::public.vector, -1, %(limit)s
        )
        """,
        OWN_CHAT_AGENT,
        limit=5,
    ),
    Query(
        "chat: state of an agent",
        USER,
        "chat.agent_states",
        ("unique_current_state",),
        """
        select id, version, local_state, persistent_state
        from chat.agent_states
        where agent_id = %(agent_id)s and is_current
        limit %(limit)s
        """,
        OWN_CHAT_AGENT,
        limit=1,
    ),
    Query(
        "agentic: decisions of an agent by type, a month",
        SERVER,
        "agentic.agent_decisions",
        ("agent_decisions_session_id_decision_type", "agent_decisions_decision_type_created_at"),
        """
        select d.decision_id, d.created_at, d.confidence_score, d.user_feedback, d.action_taken
        from agentic.agent_decisions as d
        join agentic.agent_sessions as s on s.session_id = d.session_id
        where s.agent_id = %(agent_id)s and d.decision_type = %(decision_type)s
            and s.started_at >= %(before)s - interval '30 days' and s.started_at < %(before)s
            and d.created_at >= %(before)s - interval '30 days' and d.created_at < %(before)s
        order by d.created_at desc
        limit %(limit)s
        """,
        AGENT,
        limit=50,
        months=2,
    ),
    Query(
        "agentic: decisions of a session",
        USER,
        "agentic.agent_decisions",
        ("agent_decisions_session_id_created_at", "agent_decisions_session_id_decision_type"),
        """
        select decision_id, decision_type, created_at, confidence_score, user_feedback
        from agentic.agent_decisions
        where session_id = %(session_id)s
        order by created_at
        limit %(limit)s
        """,
        OWN_SESSION,
        limit=100,
    ),
    Query(
        "agentic: decisions on a ticket, a month",
        SERVER,
        "agentic.agent_decisions",
        ("agent_decisions_input_context",),
        """
        with found as materialized (
            select decision_id, session_id, created_at, action_taken
            from agentic.agent_decisions
            where input_context @> jsonb_build_object('ticket', %(rare)s::int)
                and created_at >= %(before)s - interval '30 days' and created_at < %(before)s
        )

        select * from found order by created_at desc limit %(limit)s
        """,
        VALUES,
        limit=50,
        months=2,
    ),
    Query(
        "agentic: recent messages of a session of 10,000",
        USER,
        "agentic.conversation_history",
        ("conversation_history_session_id_created_at",),
        """
        select message_id, role, content, created_at
        from agentic.conversation_history
        where session_id = %(session_id)s and created_at < %(before)s
        order by created_at desc
        limit %(limit)s
        """,
        OWN_LONG_SESSION,
        limit=20,
    ),
    Query(
        "agentic: an agent's sessions at work",
        SERVER,
        "agentic.agent_sessions",
        ("agent_sessions_active",),
        """
        select session_id, user_id, trust_level, started_at
        from agentic.agent_sessions
        where agent_id = %(agent_id)s and session_state = 'active'
        order by started_at desc
        limit %(limit)s
        """,
        AGENT,
        limit=20,
    ),
    Query(
        "agentic: trust metrics of a session",
        USER,
        "agentic.trust_metrics",
        ("trust_metrics_session_id_metric_type",),
        """
        select metric_type, metric_value, recorded_at
        from agentic.trust_metrics
        where session_id = %(session_id)s and metric_type = 'accuracy'
        order by recorded_at desc
        limit %(limit)s
        """,
        OWN_SESSION,
        limit=50,
    ),
    Query(
        "agentic: knowledge of an agent on a domain",
        USER,
        "agentic.agent_knowledge",
        ("agent_knowledge_agent_id",),
        """
        select knowledge_id, knowledge_type, content, success_rate
        from agentic.agent_knowledge
        where agent_id = %(agent_id)s and domain = 'backend'
        order by success_rate desc
        limit %(limit)s
        """,
        AGENT,
        limit=20,
    ),
    Query(
        "agentic: knowledge on a topic",
        SERVER,
        "agentic.agent_knowledge",
        ("agent_knowledge_content",),
        """
        with found as materialized (
            select knowledge_id, agent_id, content, success_rate
            from agentic.agent_knowledge
            where content @> jsonb_build_object('topic', 'topic ' || %(common)s)
        )

        select * from found order by success_rate desc limit %(limit)s
        """,
        VALUES,
        limit=20,
    ),
    Query(
        "agentic: similar knowledge",
        USER,
        "agentic.agent_knowledge",
        ("agent_knowledge_embedding",),
        """
        select *
        from agentic.find_similar_knowledge(%(embedding)s::public.vector, 0.7, %(limit)s)
        """,
        AGENT,
        limit=5,
    ),
    Query(
        "agentic: similar knowledge of an agent",
        USER,
        "agentic.agent_knowledge",
        ("agent_knowledge_agent_id",),
        """
        select *
        from agentic.find_similar_knowledge(
            %(embedding)s::public.vector, -1, %(limit)s, %(agent_id)s
        )
        """,
        AGENT,
        limit=5,
    ),
    Query(
        "agentic: audit of a session",
        SERVER,
        "agentic.agent_audit_log",
        ("agent_audit_log_session_id_sequence",),
        """
        select sequence, "timestamp", action_type, action_details, risk_level
        from agentic.agent_audit_log
        where session_id = %(session_id)s
        order by sequence
        limit %(limit)s
        """,
        OWN_SESSION,
        limit=100,
    ),
    Query(
        "agentic: own audit of a session",
        USER,
        "agentic.agent_audit_log",
        ("agent_audit_log_session_id_sequence",),
        """
        select sequence, "timestamp", action_type, risk_level
        from agentic.agent_audit_log
        where session_id = %(session_id)s
        order by sequence
        limit %(limit)s
        """,
        OWN_SESSION,
        limit=100,
    ),
    Query(
        "agentic: critical actions of a week",
        SERVER,
        "agentic.agent_audit_log",
        ("agent_audit_log_risk_level_timestamp",),
        """
        select agent_id, session_id, "timestamp", action_type, action_details
        from agentic.agent_audit_log
        where risk_level = 'critical'
            and "timestamp" >= %(before)s - interval '7 days' and "timestamp" < %(before)s
        order by "timestamp" desc
        limit %(limit)s
        """,
        AGENT,
        limit=50,
        months=2,
    ),
)
