"""The runs that `benchmarks.refresh` refreshes by: made in the server, the same in every run.

`bench.write_day` writes what the loader writes of the runs of a day. A run has 20 spans, eight of them
calls of tools, and 12 messages. Nothing is drawn but by the number of the run. Calls have so many times
the usual tokens that a day of fewer runs costs what others do, and is no anomaly to be explained.
"""

TRAFFIC = """
create schema bench;

create function bench.draw(number bigint, purpose int, sides int) returns int
language sql
immutable
return (hashint8extended(number, purpose) & 9007199254740991) % sides;

create function bench.id(kind text, number bigint, place int default 0) returns uuid
language sql
immutable
return md5(kind || number || '/' || place)::uuid;

create table bench.models (
    number int primary key,
    name text not null,
    provider text not null,
    usd_per_token numeric
);

-- Half of the models report what a call cost; the others' calls are priced by the book.
insert into bench.models
select
    m.place - 1,
    m.name,
    m.provider,
    case when m.place % 2 = 0 then m.place * 0.0000002 end
from unnest(
    array[
        'gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'gpt-4.1-mini', 'o3', 'o4-mini', 'gpt-5', 'gpt-5-mini',
        'claude-3-5-haiku-latest', 'claude-opus-4-6', 'claude-sonnet-4-6', 'claude-haiku-4-5',
        'gemini-2.5-pro', 'gemini-2.5-flash', 'gemini-2.0-flash', 'deepseek-chat',
        'mistral-large-latest', 'grok-4', 'command-r-plus', 'openrouter/openai/gpt-4o'
    ],
    array[
        'openai', 'openai', 'openai', 'openai', 'openai', 'openai', 'openai', 'openai',
        'anthropic', 'anthropic', 'anthropic', 'anthropic',
        'google', 'google', 'google', 'deepseek', 'mistral', 'x-ai', 'cohere', 'openrouter'
    ]
) with ordinality as m (name, provider, place);

-- A dozen agents, each with two models.
create table bench.agents (
    number int primary key,
    agent_id uuid not null,
    name text not null,
    model text not null,
    provider text not null,
    usd_per_token numeric
);

insert into bench.agents
select
    a.number,
    bench.id('agent', a.number),
    'agent-' || a.number / 2,
    m.name,
    m.provider,
    m.usd_per_token
from generate_series(0, 23) as a (number)
inner join bench.models as m on a.number % 20 = m.number;

insert into agentic.agents (agent_id, name, persona_type, capabilities, config)
select
    agent_id,
    name,
    'assistant',
    '{}',
    jsonb_build_object('name', name, 'version', null, 'model', model, 'provider', provider)
from bench.agents;

insert into traceability.success_patterns (id, pattern_hash, tool_sequence, keywords, domain, tags)
select
    bench.id('pattern', p),
    'pattern-' || p,
    array['find_' || p, 'check', 'change_' || p],
    array['check'],
    'domain-' || p % 4,
    array['tool_sequence']
from generate_series(0, 99) as p;

create function bench.runs(day date, first_run bigint, last_run bigint)
returns table (
    number bigint,
    run_id text,
    trace_id uuid,
    session_id uuid,
    agent_id uuid,
    agent_name text,
    model text,
    provider text,
    usd_per_token numeric,
    domain text,
    task_id text,
    user_id text,
    pattern_id uuid,
    started_at timestamptz,
    step interval,
    is_success boolean
)
language sql
stable
begin atomic
    select
        n,
        'bench-' || n,
        bench.id('trace', n),
        bench.id('session', n),
        a.agent_id,
        a.name,
        a.model,
        a.provider,
        a.usd_per_token,
        'domain-' || d.domain,
        'task-' || bench.draw(n, 2, 50),
        case
            when bench.draw(n, 3, 5) < 3
                then 'user-' || bench.draw(n, 4, 100) * bench.draw(n, 5, 100) / 100
        end,
        bench.id('pattern', 4 * (bench.draw(n, 6, 25) * bench.draw(n, 7, 25) / 25) + d.domain),
        runs.day::timestamp at time zone 'UTC' + bench.draw(n, 8, 86400) * interval '1 second',
        (2 + bench.draw(n, 9, 18)) * interval '1 second',
        bench.draw(n, 10, 100) < 60 + a.number
    from generate_series(first_run, last_run) as n
    inner join bench.agents as a on bench.draw(n, 0, 24) = a.number
    -- Most of an agent's work is in one domain.
    cross join lateral (
        select (a.number / 2 + case when bench.draw(n, 1, 5) = 0 then 1 else 0 end) % 4 as domain
    ) as d;
end;

create function bench.write_day(day date, first_run bigint, last_run bigint, tokens int) returns void
language sql
begin atomic
    insert into observability.traces (
        trace_id, workflow_id, execution_id, started_at, completed_at, total_duration_ms, status,
        total_tokens, metadata, user_id
    )
    select
        r.trace_id,
        r.domain,
        r.run_id,
        r.started_at,
        r.started_at + 20 * r.step,
        extract(epoch from 20 * r.step) * 1000,
        'completed',
        '{}',
        jsonb_build_object(
            'schema', 'agent-run/1',
            'run_id', r.run_id,
            'source', 'bench',
            'agent', jsonb_build_object(
                'name', r.agent_name, 'version', null, 'model', r.model, 'provider', r.provider
            ),
            'domain', r.domain,
            'task_id', r.task_id,
            'user_id', r.user_id,
            'trial', r.number % 4,
            'success', r.is_success,
            'reward', r.is_success::int,
            'n_messages', 20,
            'loader', jsonb_build_object()
        ),
        null
    from bench.runs(day, first_run, last_run) as r;

    -- Every fifth span is a call of the counterpart, which is a simulated user, two are calls of
    -- the agent and two of a tool.
    insert into observability.spans (
        trace_id, span_id, parent_span_id, span_type, name, status, started_at, completed_at,
        duration_ms, inputs, tokens, cost, model, provider, metadata, user_id
    )
    select
        r.trace_id,
        bench.id('span', r.number, i),
        case when s.is_tool then bench.id('span', r.number, i - 1) end,
        case when s.is_tool then 'agent_tool_call' else 'llm' end,
        case when s.is_tool then 'tool-' || bench.draw(r.number, i, 30) else s.model end,
        case when s.is_tool and bench.draw(r.number, 100 + i, 20) = 0 then 'failed' else 'completed' end,
        r.started_at + i * r.step,
        r.started_at + (i + 1) * r.step,
        extract(epoch from r.step) * 1000,
        case when s.is_tool then jsonb_build_object('id', r.number, 'word', 'order') else '{}' end,
        case
            when s.is_tool then '{}'
            else jsonb_build_object(
                'input_tokens', s.input_tokens,
                'output_tokens', s.output_tokens,
                'cached_input_tokens', s.input_tokens / 2,
                'total_tokens', s.input_tokens + s.output_tokens
            )
        end,
        (s.input_tokens + s.output_tokens) * s.usd_per_token,
        s.model,
        s.provider,
        case
            when s.is_tool
                then jsonb_build_object(
                    'run_id', r.run_id, 'i', i, 'part', 0, 'call_id', 'call_' || i, 'payer', 'agent'
                )
            else jsonb_build_object('run_id', r.run_id, 'i', i, 'turn_idx', i, 'payer', s.payer)
        end,
        null
    from bench.runs(day, first_run, last_run) as r
    cross join generate_series(0, 19) as i
    cross join lateral (
        select
            i % 5 in (2, 3) as is_tool,
            case when i % 5 = 0 then 'counterpart' else 'agent' end as payer,
            case i % 5 when 0 then 'gpt-4o' when 1 then r.model when 4 then r.model end as model,
            case i % 5 when 0 then 'openai' when 1 then r.provider when 4 then r.provider end as provider,
            case when i % 5 in (1, 4) then r.usd_per_token end as usd_per_token,
            tokens * (1000 + 300 * i + bench.draw(r.number, 200 + i, 200)) as input_tokens,
            tokens * (20 + bench.draw(r.number, 300 + i, 400)) as output_tokens
    ) as s;

    insert into agentic.agent_sessions (
        session_id, agent_id, context, started_at, ended_at, session_state, metadata
    )
    select
        r.session_id,
        r.agent_id,
        jsonb_build_object('domain', r.domain, 'task_id', r.task_id, 'trial', r.number % 4),
        r.started_at,
        r.started_at + 20 * r.step,
        'completed',
        jsonb_build_object('run_id', r.run_id, 'loader', jsonb_build_object())
    from bench.runs(day, first_run, last_run) as r;

    insert into agentic.conversation_history (
        session_id, message_id, role, content, message_type, created_at, tokens_used, model_used,
        metadata
    )
    select
        r.session_id,
        bench.id('message', r.number, i),
        case when i % 5 = 0 then 'user' else 'agent' end,
        'Please look at order ' || r.number || ' again.',
        'text',
        r.started_at + i * r.step,
        1000 + 300 * i,
        case when i % 5 = 0 then 'gpt-4o' else r.model end,
        jsonb_build_object('run_id', r.run_id, 'i', i, 'turn_idx', i, 'loader', jsonb_build_object())
    from bench.runs(day, first_run, last_run) as r
    cross join generate_series(0, 19) as i
    where i % 5 not in (2, 3);

    insert into agentic.agent_decisions (
        session_id, decision_id, decision_type, input_context, action_taken, user_feedback,
        created_at, execution_time_ms, metadata
    )
    select
        r.session_id,
        bench.id('decision', r.number),
        'task',
        jsonb_build_object('run_id', r.run_id, 'domain', r.domain, 'task_id', r.task_id),
        jsonb_build_object('termination_reason', 'user_stop', 'reward', r.is_success::int),
        case when r.is_success then 'approved' else 'rejected' end,
        r.started_at,
        extract(epoch from 20 * r.step) * 1000,
        jsonb_build_object('run_id', r.run_id, 'loader', jsonb_build_object())
    from bench.runs(day, first_run, last_run) as r;

    insert into traceability.pattern_usage_log (
        id, pattern_id, used_at, was_applied, outcome, success, actual_duration_ms, metadata
    )
    select
        bench.id('use', r.number),
        r.pattern_id,
        r.started_at,
        true,
        case when r.is_success then 'success' else 'failure' end,
        r.is_success,
        extract(epoch from 20 * r.step) * 1000,
        jsonb_build_object('run_id', r.run_id, 'loader', jsonb_build_object())
    from bench.runs(day, first_run, last_run) as r;
end;
"""
