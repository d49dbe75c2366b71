"""The rows that `benchmarks.reads` reads: made in the server, the same in every run.

`ROWS` holds one insert a table, in order. `$first` and `$last` (exclusive) are the range of
spans and messages to make, multiples of 100,000; other tables take their share of that range.
Time runs evenly through the range over six months, so that rows lie as if they had come in one by
one. The people, agents and patterns of `PEOPLE` come once.

Agents, users and patterns are skewed: the share of the first of n is the cube root of 1/n. Each agent,
user, workflow and cluster of patterns belongs to one of ten tenants. Of the messages, one in ten is of
a session with some 10,000; the others have some 90, with 200 sessions open at a time.
"""

HELPERS = """
create schema bench;

create function bench.pick(i bigint, seed int, n bigint) returns bigint
language sql immutable parallel safe
return (hashint8extended(i, seed) & 9223372036854775807) % n;

create function bench.skewed(i bigint, seed int, n bigint) returns bigint
language sql immutable parallel safe
return floor(n * power(bench.pick(i, seed, 1000000) / 1e6::float8, 3))::bigint;

create function bench.id(kind text, i bigint) returns uuid
language sql immutable parallel safe
return md5(kind || i)::uuid;

create function bench.moment(i bigint, first bigint, last bigint) returns timestamptz
language sql immutable parallel safe
return timestamptz '2025-06-01 00:00+00' + interval '183 days' * ((i - first)::float8 / (last - first));

-- The session of a message, decision or audit row: 200 are open while window_rows rows come in.
create function bench.session(i bigint, first bigint, window_rows int, first_session bigint)
returns bigint
language sql immutable parallel safe
return first_session + (i - first) / window_rows * 200 + bench.pick(i, 3, 200);

-- Directions in 1,536 dimensions. A row's is that of its cluster, with what the cluster shares with
-- its topic, all topics share, and two bits of noise: rows of a cluster are alike by 0.85, of a topic
-- by 0.6, others by 0.3.
create table bench.directions as
select c, (
    select array_agg((bench.pick(c * 1536 + d, 8, 20001) - 10000) / 1e4::real * weight order by d)
    from generate_series(0, 1535) as d
)::public.vector(1536) as direction
from (
    select c, (case when c < 1000 then 0.7 when c < 2000 then 0.4 else 0.8 end)::real as weight
    from generate_series(0, 2050) as c
) as weighted;

alter table bench.directions add primary key (c);

create function bench.embedding(i bigint, clusters int) returns public.vector
language sql stable
return (
    select sum(direction) from bench.directions
    where c in (
        i % clusters, i % 50 + 2000, 2050, 1000 + bench.pick(i, 6, 500), 1500 + bench.pick(i, 7, 500)
    )
);
"""

PEOPLE = {
    "observability.profiles": """
        insert into observability.profiles (id, email, tenant_id)
        select bench.id('user', u), 'user' || u || '@example.org', 'tenant ' || u % 10
        from generate_series(0, 1999) as u
    """,
    "chat.users": """
        insert into chat.users (id, username, tenant_id)
        select bench.id('user', u), 'user ' || u, 'tenant ' || u % 10
        from generate_series(0, 1999) as u
    """,
    "chat.agents": """
        insert into chat.agents (id, user_id, name, description, active, tenant_id)
        select bench.id('agent', a), bench.id('user', a), 'agent ' || a, '', true, 'tenant ' || a % 10
        from generate_series(0, 1999) as a
    """,
    "chat.agent_states": """
        insert into chat.agent_states (
            id, agent_id, version, state_hash, valid_from, valid_until, is_current, tenant_id
        )
        select
            bench.id('state', s), bench.id('agent', s / 10), '1.0.' || s % 10, md5(s::text),
            timestamptz '2025-06-01 00:00+00' + s % 10 * interval '1 day',
            case when s % 10 < 9
                then timestamptz '2025-06-02 00:00+00' + s % 10 * interval '1 day'
            end,
            s % 10 = 9, 'tenant ' || s / 10 % 10
        from generate_series(0, 19999) as s
    """,
    "chat.agent_memories": """
        insert into chat.agent_memories (
            id, agent_id, memory_type, content, importance, embeddings, last_accessed, created_at,
            tenant_id
        )
        select
            bench.id('memory', m), bench.id('agent', a),
            case m / 10 % 2 when 0 then 'semantic' else 'episodic' end,
            jsonb_build_object(
                'concept', 'concept ' || bench.pick(m, 2, 1000), 'definition', md5(m::text),
                'event', 'event ' || bench.pick(m, 2, 1000), 'temporal', '{}'::jsonb
            ),
            bench.pick(m, 3, 10001) / 10000.0, bench.embedding(m, 200),
            timestamptz '2025-11-01 00:00+00', timestamptz '2025-06-01 00:00+00', 'tenant ' || a % 10
        from generate_series(0, 19999) as m
        cross join lateral (select m % 10 + 10 * bench.skewed(m, 1, 200) as a) as agent
    """,
    "agentic.users": """
        insert into agentic.users (user_id, email, tenant_id)
        select bench.id('user', u), 'user' || u || '@example.org', 'tenant ' || u % 10
        from generate_series(0, 1999) as u
    """,
    "agentic.agents": """
        insert into agentic.agents (agent_id, name, persona_type, capabilities, tenant_id)
        select bench.id('agent', a), 'agent ' || a, 'developer', '["review"]', 'tenant ' || a % 10
        from generate_series(0, 1999) as a
    """,
    "agentic.agent_knowledge": """
        insert into agentic.agent_knowledge (
            knowledge_id, agent_id, knowledge_type, domain, content, usage_count, success_rate,
            embedding, tenant_id
        )
        select
            bench.id('knowledge', k), bench.id('agent', a),
            (array['pattern', 'solution', 'preference', 'constraint', 'example'])[1 + k / 10 % 5],
            (array['frontend', 'backend', 'testing', 'security'])[1 + k / 50 % 4],
            jsonb_build_object('topic', 'topic ' || bench.pick(k, 2, 1000), 'text', md5(k::text)),
            bench.pick(k, 4, 100), bench.pick(k, 3, 10001) / 10000.0, bench.embedding(k, 200),
            'tenant ' || a % 10
        from generate_series(0, 19999) as k
        cross join lateral (select k % 10 + 10 * bench.skewed(k, 1, 200) as a) as agent
    """,
    "traceability.success_patterns": """
        insert into traceability.success_patterns (
            id, pattern_hash, prompt_text, intent_classification, keywords, domain, agent_sequence,
            success_count, failure_count, avg_duration_ms, is_active, last_used_at, prompt_embedding,
            tenant_id
        )
        select
            bench.id('pattern', p), md5(p::text), 'prompt ' || p,
            (array['code_generation', 'debugging', 'refactoring', 'documentation', 'testing'])[
                1 + bench.pick(p, 1, 5)
            ],
            array['keyword ' || bench.skewed(p, 2, 5000), 'keyword ' || bench.pick(p, 3, 5000)],
            'domain ' || bench.pick(p, 4, 20), array['agent ' || bench.skewed(p, 5, 200)],
            bench.skewed(p, 6, 100), bench.skewed(p, 7, 10), bench.pick(p, 8, 60000),
            bench.pick(p, 10, 10) > 0,
            timestamptz '2025-06-01 00:00+00' + bench.pick(p, 9, 15811200) * interval '1 second',
            bench.embedding(p, 1000), 'tenant ' || p % 10
        from generate_series(0, 99999) as p
    """,
}

ROWS = {
    "raaf.raaf_tracing_traces": """
        insert into raaf.raaf_tracing_traces (
            trace_id, workflow_name, status, started_at, ended_at, metadata, created_at, updated_at,
            tenant_id
        )
        select
            'trace_' || md5(t::text), 'workflow ' || a % 500,
            case when bench.pick(t, 2, 20) = 0 then 'failed' else 'completed' end,
            s, s + interval '30 s',
            jsonb_build_object('customer', bench.pick(t, 4, 5000), 'environment', 'production'),
            s, s, 'tenant ' || a % 10
        from generate_series($first / 20, $last / 20 - 1) as t
        cross join lateral (select bench.skewed(t, 1, 2000) as a) as agent
        cross join lateral (select bench.moment(t, $first / 20, $last / 20) as s) as start
    """,
    "raaf.raaf_tracing_spans": """
        insert into raaf.raaf_tracing_spans (
            span_id, trace_id, parent_id, name, kind, status, start_time, end_time, duration_ms,
            span_attributes, events, input_tokens, output_tokens, agent_name, prompt_data,
            input_context, output_context, chat_messages, execution_metadata, created_at, updated_at,
            tenant_id
        )
        select
            'span_' || md5(i::text), 'trace_' || md5(t::text),
            case when k > 0 then 'span_' || md5((t * 20 + (k - 1) / 3)::text) end,
            kind || ' ' || a, kind, status,
            s, s + interval '900 ms', 900,
            case kind
                when 'llm' then jsonb_build_object(
                    'llm', jsonb_build_object('model', 'model ' || bench.pick(i, 3, 10))
                )
                when 'tool' then jsonb_build_object('function.name', 'tool ' || bench.pick(i, 3, 1000))
                else '{}'
            end,
            case status when 'error' then jsonb_build_array(jsonb_build_object(
                'name', 'exception', 'attributes',
                jsonb_build_object('exception.type', 'Error' || bench.pick(i, 4, 1000))
            )) else '[]' end,
            case kind when 'llm' then 1000 end, case kind when 'llm' then 100 end,
            case kind when 'agent' then 'agent ' || a end,
            case kind when 'agent' then jsonb_build_object('text', 'prompt ' || i) end,
            case kind when 'agent' then jsonb_build_object('data', jsonb_build_object(
                'analysis_type', 'type ' || bench.pick(i, 5, 3), 'customer', bench.pick(i, 6, 10000)
            )) end,
            case kind when 'agent' then jsonb_build_object('data', jsonb_build_object(
                'confidence', bench.pick(i, 7, 100)
            )) end,
            case kind when 'agent' then
                ('[' || repeat('{"role": "user", "content": "question"}, ', bench.pick(i, 8, 8)::int)
                || '{"role": "assistant", "content": "answer"}]')::jsonb
            end,
            case kind when 'agent' then jsonb_build_object('agent_class', 'Class' || a) end,
            s, s, 'tenant ' || a % 10
        from generate_series($first, $last - 1) as i
        cross join lateral (select i / 20 as t, i % 20 as k) as place
        cross join lateral (
            select
                bench.skewed(t, 1, 2000) as a,
                (array['agent', 'llm', 'tool', 'llm'])[1 + k % 4] as kind,
                case when bench.pick(i, 2, 50) = 0 then 'error' else 'ok' end as status,
                bench.moment(t, $first / 20, $last / 20) + k * interval '1 s' as s
        ) as chosen
    """,
    "observability.traces": """
        insert into observability.traces (
            trace_id, workflow_id, execution_id, user_id, query, started_at, completed_at,
            total_duration_ms, status, total_cost, total_tokens, metadata, tenant_id
        )
        select
            bench.id('trace', t), bench.id('workflow', u * 3 + bench.pick(t, 2, 3)), 'execution ' || t,
            bench.id('user', u), 'question ' || t, s, s + interval '20 s', 20000, 'completed',
            bench.pick(t, 3, 1000) / 1e4, '{"input": 1000, "output": 100, "total": 1100}',
            jsonb_build_object('batch', bench.pick(t, 4, 5000)), 'tenant ' || u % 10
        from generate_series($first / 20, $last / 20 - 1) as t
        cross join lateral (
            select
                bench.skewed(t, 1, 2000) as u, bench.moment(t, $first / 20, $last / 20) as s
        ) as chosen
    """,
    "observability.spans": """
        insert into observability.spans (
            trace_id, span_id, parent_span_id, user_id, span_type, name, status, started_at,
            completed_at, duration_ms, tokens, cost, model, metadata, tenant_id
        )
        select
            bench.id('trace', t), bench.id('span', i),
            case when k > 0 then bench.id('span', t * 20 + (k - 1) / 3) end, bench.id('user', u),
            (array['node_execution', 'llm', 'vector_search', 'llm'])[1 + k % 4], 'step ' || k,
            case when bench.pick(i, 2, 50) = 0 then 'failed' else 'completed' end,
            s, s + interval '900 ms', 900,
            case when k % 2 = 1 then jsonb_build_object('input_tokens', bench.pick(i, 3, 10000)) end,
            case when k % 2 = 1 then 0.01 end, case when k % 2 = 1 then 'model ' || k end,
            jsonb_build_object('node', bench.pick(i, 4, 10000)), 'tenant ' || u % 10
        from generate_series($first, $last - 1) as i
        cross join lateral (select i / 20 as t, i % 20 as k) as place
        cross join lateral (
            select
                bench.skewed(t, 1, 2000) as u,
                bench.moment(t, $first / 20, $last / 20) + k * interval '1 s' as s
        ) as chosen
    """,
    "traceability.execution_traces": """
        insert into traceability.execution_traces (
            id, correlation_id, root_id, parent_id, session_id, user_id, source, prompt_text,
            started_at, completed_at, duration_ms, status, success, error_type, tags, tenant_id
        )
        select
            bench.id('trace', t), bench.id('correlation', t), bench.id('correlation', t - t % 4),
            case when t % 4 > 0 then bench.id('correlation', t - t % 4) end,
            bench.id('session', t / 20), bench.id('user', u), 'api', 'prompt ' || t,
            s, s + interval '20 s', 20000,
            case when has_failed then 'failed' else 'completed' end, not has_failed,
            case when has_failed then 'Error' || bench.pick(t, 3, 20) end,
            array['tag ' || bench.pick(t, 4, 1000)], 'tenant ' || u % 10
        from generate_series($first / 20, $last / 20 - 1) as t
        cross join lateral (
            select
                bench.skewed(t / 20, 1, 2000) as u, bench.pick(t, 2, 20) = 0 as has_failed,
                bench.moment(t, $first / 20, $last / 20) as s
        ) as chosen
    """,
    "traceability.agent_routing_decisions": """
        insert into traceability.agent_routing_decisions (
            trace_id, id, agent_selected, confidence_score, routing_strategy, pattern_id, created_at,
            tenant_id
        )
        select
            bench.id('trace', t), bench.id('routing', t),
            'agent ' || u % 10 + 10 * bench.skewed(t, 5, 200), 0.9, 'fuzzy_match',
            case when t % 10 = 0 then bench.id('pattern', bench.skewed(t, 6, 100000)) end,
            bench.moment(t, $first / 20, $last / 20), 'tenant ' || u % 10
        from generate_series($first / 20, $last / 20 - 1) as t
        cross join lateral (select bench.skewed(t / 20, 1, 2000) as u) as owner
    """,
    "traceability.hook_executions": """
        insert into traceability.hook_executions (
            trace_id, id, hook_type, hook_name, execution_order, tool_name, started_at, completed_at,
            duration_ms, status, error_type, tenant_id
        )
        select
            bench.id('trace', t), bench.id('hook', h),
            case h % 2 when 0 then 'PreToolUse' else 'PostToolUse' end, 'hook ' || bench.pick(h, 1, 20),
            h % 10 + 1, 'tool ' || bench.pick(h, 2, 50), s, s + interval '100 ms', 100,
            case when has_failed then 'failed' else 'completed' end,
            case when has_failed then 'Error' || bench.pick(h, 4, 20) end,
            'tenant ' || bench.skewed(t / 20, 1, 2000) % 10
        from generate_series($first / 2, $last / 2 - 1) as h
        cross join lateral (
            select
                h / 10 as t, bench.pick(h, 3, 50) = 0 as has_failed,
                bench.moment(h, $first / 2, $last / 2) as s
        ) as chosen
    """,
    "traceability.endpoint_calls": """
        insert into traceability.endpoint_calls (
            trace_id, id, hook_execution_id, service, endpoint_url, method, status_code, started_at,
            duration_ms, success, error_type, tenant_id
        )
        select
            bench.id('trace', c / 4), bench.id('call', c), bench.id('hook', c / 4 * 10 + c % 4),
            'service ' || bench.pick(c, 1, 4), '/api/' || bench.pick(c, 2, 40), 'POST',
            case when has_failed then 500 else 200 end, bench.moment(c, $first / 5, $last / 5),
            50, not has_failed, case when has_failed then 'http_error' end,
            'tenant ' || bench.skewed(c / 80, 1, 2000) % 10
        from generate_series($first / 5, $last / 5 - 1) as c
        cross join lateral (select bench.pick(c, 3, 50) = 0 as has_failed) as chosen
    """,
    "traceability.pattern_usage_log": """
        insert into traceability.pattern_usage_log (
            pattern_id, id, trace_id, used_at, match_score, was_applied, outcome, success, tenant_id
        )
        select
            bench.id('pattern', bench.skewed(u, 1, 100000)), bench.id('use', u),
            bench.id('trace', u / 4), bench.moment(u, $first / 5, $last / 5), 0.9, true,
            case when bench.pick(u, 2, 5) = 0 then 'failure' else 'success' end,
            bench.pick(u, 2, 5) > 0, 'tenant ' || bench.skewed(u / 80, 1, 2000) % 10
        from generate_series($first / 5, $last / 5 - 1) as u
    """,
    "chat.conversation_sessions": """
        insert into chat.conversation_sessions (
            id, conversation_id, user_id, agent_id, started_at, last_active, message_count, status,
            tenant_id
        )
        select
            bench.id('session', j), bench.id('conversation', j), bench.id('user', u),
            bench.id('agent', u % 10 + 10 * bench.skewed(j, 2, 200)), s, s,
            case when j % 1000 = 0 then 10000 else 90 end, 'completed', 'tenant ' || u % 10
        from generate_series($first / 100, $last / 100 - 1) as j
        cross join lateral (
            select
                bench.skewed(j, 1, 2000) as u,
                bench.moment(j - j % 1000 * (j % 1000 = 0)::int, $first / 100, $last / 100) as s
        ) as chosen
    """,
    "chat.chat_messages_v2": """
        insert into chat.chat_messages_v2 (
            id, conversation_id, session_id, parent_message_id, sender_user_id, sender_agent_id, role,
            content, metadata, created_at, updated_at, tenant_id
        )
        select
            bench.id('message', i), bench.id('conversation', j), bench.id('session', j), null,
            case when i % 2 = 0 then bench.id('user', u) end,
            case when i % 2 = 1 then bench.id('agent', u % 10 + 10 * bench.skewed(j, 2, 200)) end,
            case i % 2 when 0 then 'user' else 'assistant' end,
            jsonb_build_object(
                'type', 'text', 'text', 'message ' || i, 'language', 'topic ' || bench.pick(i, 6, 10000)
            ),
            case when i % 2 = 1 then jsonb_build_object(
                'model', 'model ' || bench.pick(i, 5, 10), 'tokens', jsonb_build_object('total', 100),
                'request_id', bench.pick(i, 4, 100000)::text
            ) else '{}' end,
            s, s, 'tenant ' || u % 10
        from generate_series($first, $last - 1) as i
        cross join lateral (
            select
                case when bench.pick(i, 1, 10) = 0
                    then $first / 100 + 1000 * bench.pick(i, 2, ($last - $first) / 100000)
                    else bench.session(i, $first, 20000, $first / 100)
                end as j,
                bench.moment(i, $first, $last) as s
        ) as chosen
        cross join lateral (select bench.skewed(j, 1, 2000) as u) as owner
    """,
    "agentic.agent_sessions": """
        insert into agentic.agent_sessions (
            session_id, agent_id, user_id, trust_level, started_at, session_state, metadata, tenant_id
        )
        select
            bench.id('session', j), bench.id('agent', u % 10 + 10 * bench.skewed(j, 2, 200)),
            bench.id('user', u), bench.pick(j, 4, 5),
            bench.moment(j, $first / 100, $last / 100),
            case bench.pick(j, 5, 50) when 0 then 'active' else 'completed' end,
            jsonb_build_object('is_long', j % 1000 = 0), 'tenant ' || u % 10
        from generate_series($first / 100, $last / 100 - 1) as j
        cross join lateral (select bench.skewed(j, 1, 2000) as u) as owner
    """,
    "agentic.agent_decisions": """
        insert into agentic.agent_decisions (
            decision_id, session_id, decision_type, input_context, action_taken, confidence_score,
            user_feedback, created_at, tenant_id
        )
        select
            bench.id('decision', d), bench.id('session', j),
            (array[
                'code_generation', 'review', 'test', 'refactor', 'design', 'documentation',
                'security_check', 'task'
            ])[1 + bench.skewed(d, 4, 8)],
            jsonb_build_object('ticket', bench.pick(d, 5, 10000)), '{"command": "apply"}', 0.9,
            'approved', bench.moment(d, $first / 5, $last / 5),
            'tenant ' || bench.skewed(j, 1, 2000) % 10
        from generate_series($first / 5, $last / 5 - 1) as d
        cross join lateral (
            select bench.session(d, $first / 5, 4000, $first / 100) as j
        ) as chosen
    """,
    "agentic.trust_metrics": """
        insert into agentic.trust_metrics (
            metric_id, session_id, metric_type, metric_value, recorded_at, tenant_id
        )
        select
            bench.id('metric', m), bench.id('session', j),
            (array['accuracy', 'autonomy', 'reliability', 'efficiency'])[1 + bench.pick(m, 4, 4)],
            bench.pick(m, 5, 101), bench.moment(m, $first / 20, $last / 20),
            'tenant ' || bench.skewed(j, 1, 2000) % 10
        from generate_series($first / 20, $last / 20 - 1) as m
        cross join lateral (
            select bench.session(m, $first / 20, 1000, $first / 100) as j
        ) as chosen
    """,
    "agentic.conversation_history": """
        insert into agentic.conversation_history (
            message_id, session_id, role, content, message_type, created_at, tokens_used, model_used,
            tenant_id
        )
        select
            bench.id('message', i), bench.id('session', j),
            case i % 2 when 0 then 'user' else 'agent' end, 'message ' || i, 'text',
            bench.moment(i, $first, $last), 100, 'model ' || bench.pick(i, 5, 10),
            'tenant ' || bench.skewed(j, 1, 2000) % 10
        from generate_series($first, $last - 1) as i
        cross join lateral (
            select
                case when bench.pick(i, 1, 10) = 0
                    then $first / 100 + 1000 * bench.pick(i, 2, ($last - $first) / 100000)
                    else bench.session(i, $first, 20000, $first / 100)
                end as j
        ) as chosen
    """,
    # Hashes of nothing: a chain of ten million rows takes an hour, and no query here looks at it.
    "agentic.agent_audit_log": """
        insert into agentic.agent_audit_log (
            audit_id, agent_id, session_id, action_type, action_details, risk_level, user_id,
            "timestamp", sequence, previous_hash, row_hash, commitments, salts, tenant_id
        )
        select
            bench.id('audit', a), bench.id('agent', u % 10 + 10 * bench.skewed(j, 2, 200)),
            bench.id('session', j), 'execute', '{"status": "done"}',
            case bench.pick(a, 4, 100) when 0 then 'critical' else 'low' end,
            bench.id('user', u), bench.moment(a, $first / 10, $last / 10),
            row_number() over (partition by j order by a), sha256(''), sha256(''), '{}', '{}',
            'tenant ' || u % 10
        from generate_series($first / 10, $last / 10 - 1) as a
        cross join lateral (
            select bench.session(a, $first / 10, 2000, $first / 100) as j
        ) as chosen
        cross join lateral (select bench.skewed(j, 1, 2000) as u) as owner
    """,
}
