"""The tables of the source systems as their own definitions make them, defects included, and rows for them.

Each text runs in the schema that comes first in the search path; `{rows}` says how many rows.
"""

from __future__ import annotations

TABLES = {
    "raaf": """
create table raaf_tracing_traces (
    trace_id varchar not null primary key,
    workflow_name varchar not null,
    status varchar not null default 'pending',
    started_at timestamp(6),
    ended_at timestamp(6),
    metadata jsonb default '{}',
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null
);
create index index_raaf_tracing_traces_on_workflow_name on raaf_tracing_traces (workflow_name);
create index index_raaf_tracing_traces_on_status on raaf_tracing_traces (status);
create index index_raaf_tracing_traces_on_started_at on raaf_tracing_traces (started_at);
create index index_raaf_tracing_traces_on_metadata on raaf_tracing_traces using gin (metadata);

create table raaf_tracing_spans (
    span_id varchar not null primary key,
    trace_id varchar not null,
    parent_id varchar,
    name varchar not null,
    kind varchar not null default 'internal',
    status varchar not null default 'ok',
    start_time timestamp(6),
    end_time timestamp(6),
    duration_ms numeric(15, 3),
    span_attributes jsonb default '{}',
    events jsonb default '[]',
    created_at timestamp(6) not null,
    updated_at timestamp(6) not null,
    constraint fk_rails_raaf_spans foreign key (trace_id)
    references raaf_tracing_traces (trace_id) on delete cascade
);
create index index_raaf_tracing_spans_on_trace_id on raaf_tracing_spans (trace_id);
create index index_raaf_tracing_spans_on_parent_id on raaf_tracing_spans (parent_id);
create index index_raaf_tracing_spans_on_name on raaf_tracing_spans (name);
create index index_raaf_tracing_spans_on_kind on raaf_tracing_spans (kind);
create index index_raaf_tracing_spans_on_status on raaf_tracing_spans (status);
create index index_raaf_tracing_spans_on_start_time on raaf_tracing_spans (start_time);
create index index_raaf_tracing_spans_on_both on raaf_tracing_spans (trace_id, parent_id);
create index index_raaf_tracing_spans_on_attributes on raaf_tracing_spans using gin (span_attributes);
create index index_raaf_tracing_spans_on_events on raaf_tracing_spans using gin (events);

alter table raaf_tracing_spans
add column agent_name varchar(255),
add column prompt_data jsonb default '{}',
add column input_context jsonb default '{}',
add column output_context jsonb default '{}',
add column chat_messages jsonb default '[]',
add column execution_metadata jsonb default '{}';
create index index_raaf_tracing_spans_on_agent_name on raaf_tracing_spans (agent_name);
create index idx_raaf_tracing_spans_agent_name on raaf_tracing_spans (agent_name)
where agent_name is not null;
create index idx_raaf_tracing_spans_input_context on raaf_tracing_spans using gin (input_context);
create index idx_raaf_tracing_spans_output_context on raaf_tracing_spans using gin (output_context);
create index idx_raaf_tracing_spans_chat_messages on raaf_tracing_spans using gin (chat_messages);
alter table raaf_tracing_spans
add constraint check_agent_name_for_agent_spans
check (kind <> 'agent' or (kind = 'agent' and agent_name is not null and length(agent_name) > 0)),
add constraint check_valid_prompt_data
check (prompt_data is null or jsonb_typeof(prompt_data) = 'object');
""",
}

ROWS = {
    "raaf": """
insert into raaf_tracing_traces (
    trace_id, workflow_name, status, started_at, ended_at, created_at, updated_at
)
select
    'trace_' || lpad(n::text, 32, '0'), 'Workflow ' || n % 7,
    (array['completed', 'completed', 'failed', 'running'])[1 + n % 4], s.at,
    case when n % 4 < 3 then s.at + interval '9 seconds' end, s.at, s.at + interval '9 seconds'
from generate_series(1, {rows} / 4) as n
cross join lateral (
    select timestamp '2026-03-01 23:30:00' + n % 40 * interval '1 day' + n * interval '1 second' as at
) as s;

insert into raaf_tracing_spans (
    span_id, trace_id, parent_id, name, kind, status, start_time, end_time, duration_ms,
    span_attributes, created_at, updated_at, agent_name, prompt_data, chat_messages
)
select
    'span_' || lpad((n * 4 + k)::text, 24, '0'), t.trace_id,
    case when k > 0 then 'span_' || lpad((n * 4)::text, 24, '0') end,
    (array['agent', 'llm', 'tool', 'llm'])[1 + k] || ' step', (array['agent', 'llm', 'tool', 'llm'])[1 + k],
    case when t.status = 'failed' and k = 3 then 'error' else 'ok' end,
    t.started_at + k * interval '1 second', t.started_at + (k + 1) * interval '1 second', 1000,
    case
        when k = 0 then '{{"agent.name": "Support"}}'
        when n % 2 = 0 then '{{"llm.request.model": "gpt-4o", "llm.usage.input_tokens": 120, "llm.usage.output_tokens": 30}}'
        else '{{"llm": {{"request": {{"model": "gpt-4o"}}, "usage": {{"input_tokens": 90, "output_tokens": 20}}}}}}'
    end::jsonb,
    t.created_at, t.updated_at, case when k = 0 then 'Support' end,
    case when k = 0 then '{{"text": "Answer"}}' else '{{}}' end::jsonb,
    case when k = 0 then '[{{"role": "user", "content": "Where is it?"}}]' else '[]' end::jsonb
from (
    select row_number() over (order by r.trace_id) as n, r.* from raaf_tracing_traces as r
) as t
cross join generate_series(0, 3) as k;
""",
}
