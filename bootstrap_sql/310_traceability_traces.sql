-- What happened: the trace of a prompt, the agent chosen for it, the hooks that ran and the
-- endpoints they called.

set local role agentbooks_owner;

-- Traces form trees, linked by correlation ids. Shell hooks put a hook's id into parent_id, so that
-- link is tested and not declared.
create table traceability.execution_traces (
    id uuid not null default gen_random_uuid() primary key,
    correlation_id uuid not null,
    root_id uuid not null,
    parent_id uuid,
    session_id uuid not null,
    user_id text,
    source text not null,
    prompt_text text,
    started_at timestamptz not null default now() check (
        started_at >= timestamptz '2000-01-01 00:00+00'
        and started_at < timestamptz '2100-01-01 00:00+00'
    ),
    completed_at timestamptz check (completed_at < timestamptz '2100-01-01 00:00+00'),
    duration_ms integer check (duration_ms >= 0),
    status text not null default 'in_progress' check (
        status = any('{in_progress,completed,failed,cancelled}')
    ),
    success boolean,
    error_message text,
    error_type text,
    context jsonb check (jsonb_typeof(context) = 'object'),
    tags text[],
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint execution_traces_end_not_before_start check (completed_at >= started_at)
);

alter table traceability.execution_traces enable row level security;

-- Traces still open, or failed.
create index idx_trace_status on traceability.execution_traces (status)
where status <> 'completed';
-- Traces of a period, and retention by age.
create index idx_trace_started_at on traceability.execution_traces (started_at desc);
-- Traces of a session, newest first.
create index idx_trace_session on traceability.execution_traces (session_id, started_at desc);
-- A whole tree.
create index idx_trace_root on traceability.execution_traces (root_id);
-- Children of a trace.
create index idx_trace_parent on traceability.execution_traces (parent_id);
-- A user's own traces, newest first.
create index idx_trace_user on traceability.execution_traces (user_id, started_at desc);
-- Traces that failed in one way; most have no error.
create index idx_trace_error_type on traceability.execution_traces (error_type, started_at desc)
where error_type is not null;
-- Traces with any of some tags.
create index idx_trace_tags on traceability.execution_traces using gin (tags);
-- What changed since a refresh.
create index idx_trace_change_id on traceability.execution_traces
using brin (change_id) with (autosummarize = on);

create policy execution_traces_service on traceability.execution_traces
for all to service_role using (true) with check (true);

create policy execution_traces_read on traceability.execution_traces
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id()) and user_id = (select ops.caller_user_id())
);

grant select, insert, update on traceability.execution_traces to agentbooks_loader;
grant select on traceability.execution_traces to agentbooks_refresher, authenticated;
grant select, delete on traceability.execution_traces to agentbooks_retention;
grant select, insert, update, delete on traceability.execution_traces to service_role;

comment on table traceability.execution_traces is
'One row per prompt, and per task that one agent hands to another.';
comment on column traceability.execution_traces.id is 'The trace; the rows below it name this id.';
comment on column traceability.execution_traces.correlation_id is
'The id that travels between services, unique; traces link by it.';
comment on column traceability.execution_traces.root_id is
'correlation_id at the top of the tree; its own for a root.';
comment on column traceability.execution_traces.parent_id is
'correlation_id of the trace above, sometimes a hook''s id; null for a root. No key.';
comment on column traceability.execution_traces.session_id is
'The user''s session. No table holds it.';
comment on column traceability.execution_traces.user_id is
'Who prompted. Null: nobody said, and no application user sees the trace.';
comment on column traceability.execution_traces.source is
'Where it came from, such as user_prompt or agent_delegation; an open list.';
comment on column traceability.execution_traces.prompt_text is
'What was asked, on roots only. Personal data.';
comment on column traceability.execution_traces.started_at is 'Start, 2000 to 2099.';
comment on column traceability.execution_traces.completed_at is
'End. Null while it runs; some writers never set it.';
comment on column traceability.execution_traces.duration_ms is
'Milliseconds from start to end; null if not measured.';
comment on column traceability.execution_traces.status is
'in_progress, completed, failed or cancelled. Completed says nothing of success.';
comment on column traceability.execution_traces.success is
'The verdict; null until there is one. A completed trace may have failed its task.';
comment on column traceability.execution_traces.error_message is
'What went wrong; null if nothing did.';
comment on column traceability.execution_traces.error_type is
'Class of the error; null if there was none. An open list.';
comment on column traceability.execution_traces.context is 'Circumstances of the run, an object.';
comment on column traceability.execution_traces.tags is
'Free words; null and empty both mean none.';
comment on column traceability.execution_traces.created_at is 'When the row was written.';
comment on column traceability.execution_traces.updated_at is 'When the row was last changed.';
comment on column traceability.execution_traces.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column traceability.execution_traces.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- A trace may be routed more than once; the latest decision is the one that held.
create table traceability.agent_routing_decisions (
    trace_id uuid not null references traceability.execution_traces (id) on delete cascade,
    id uuid not null default gen_random_uuid(),
    agent_selected text not null check (agent_selected <> ''),
    confidence_score numeric(5, 4) not null check (confidence_score between 0 and 1),
    confidence_trigger numeric(5, 4) check (confidence_trigger between 0 and 1),
    confidence_context numeric(5, 4) check (confidence_context between 0 and 1),
    confidence_capability numeric(5, 4) check (confidence_capability between 0 and 1),
    confidence_historical numeric(5, 4) check (confidence_historical between 0 and 1),
    routing_strategy text not null,
    pattern_id uuid,
    cache_hit boolean default false,
    selection_reason text,
    query_text text,
    alternatives jsonb constraint routing_alternatives_shape check (
        alternatives is null
        or case when jsonb_typeof(alternatives) = 'array' then
            jsonb_array_length(alternatives) = jsonb_array_length(jsonb_path_query_array(
                alternatives,
                'strict $[*] ? (
                    @.agent.type() == "string" && @.confidence >= 0 && @.confidence <= 1
                )'
            ))
        else false end
    ),
    decision_duration_ms integer check (decision_duration_ms >= 0),
    execution_started_at timestamptz,
    execution_completed_at timestamptz,
    created_at timestamptz not null default now() check (
        created_at >= timestamptz '2000-01-01 00:00+00'
        and created_at < timestamptz '2100-01-01 00:00+00'
    ),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (trace_id, id),
    constraint routing_end_not_before_start check (execution_completed_at >= execution_started_at)
);

alter table traceability.agent_routing_decisions enable row level security;

-- Writers know a decision by its id alone.
create index idx_routing_id on traceability.agent_routing_decisions (id);
-- The latest decision of a trace.
create index idx_routing_trace_created on traceability.agent_routing_decisions
(trace_id, created_at desc);
-- What an agent was chosen for, newest first.
create index idx_routing_agent on traceability.agent_routing_decisions
(agent_selected, created_at desc);
-- Decisions of one strategy.
create index idx_routing_strategy on traceability.agent_routing_decisions (routing_strategy);
-- Decisions that a pattern led to; most had none.
create index idx_routing_pattern on traceability.agent_routing_decisions (pattern_id)
where pattern_id is not null;
-- Decisions of a period.
create index idx_routing_created_at on traceability.agent_routing_decisions (created_at desc);
-- What changed since a refresh.
create index idx_routing_change_id on traceability.agent_routing_decisions
using brin (change_id) with (autosummarize = on);

create policy agent_routing_decisions_service on traceability.agent_routing_decisions
for all to service_role using (true) with check (true);

grant select, insert, update on traceability.agent_routing_decisions to agentbooks_loader;
grant select on traceability.agent_routing_decisions to agentbooks_refresher, authenticated;
grant select, delete on traceability.agent_routing_decisions to agentbooks_retention;
grant select, insert, update, delete on traceability.agent_routing_decisions to service_role;

comment on table traceability.agent_routing_decisions is
'One row per choice of an agent for a trace.';
comment on column traceability.agent_routing_decisions.trace_id is
'The trace that was routed; deleted with it.';
comment on column traceability.agent_routing_decisions.id is 'The decision.';
comment on column traceability.agent_routing_decisions.agent_selected is
'Name of the agent chosen.';
comment on column traceability.agent_routing_decisions.confidence_score is
'How sure the router was, 0 to 1.';
comment on column traceability.agent_routing_decisions.confidence_trigger is
'Its part from trigger words, 0 to 1; null if not split up.';
comment on column traceability.agent_routing_decisions.confidence_context is
'Its part from the context, 0 to 1; null if not split up.';
comment on column traceability.agent_routing_decisions.confidence_capability is
'Its part from what the agent can do, 0 to 1; null if not split up.';
comment on column traceability.agent_routing_decisions.confidence_historical is
'Its part from earlier success, 0 to 1; null if not split up.';
comment on column traceability.agent_routing_decisions.routing_strategy is
'How it was chosen, such as explicit, fuzzy_match or pattern_replay; an open list.';
comment on column traceability.agent_routing_decisions.pattern_id is
'The pattern that led to it; null if none did, or if the pattern is gone.';
comment on column traceability.agent_routing_decisions.cache_hit is
'Whether an earlier decision was reused.';
comment on column traceability.agent_routing_decisions.selection_reason is
'Why, in words; null if not given.';
comment on column traceability.agent_routing_decisions.query_text is
'What was routed; null if not kept. Personal data.';
comment on column traceability.agent_routing_decisions.alternatives is
'Runners-up: an array of objects with agent and confidence (0 to 1); null if not kept.';
comment on column traceability.agent_routing_decisions.decision_duration_ms is
'Milliseconds the choice took; null if not measured.';
comment on column traceability.agent_routing_decisions.execution_started_at is
'When the agent began; null if it did not, or not yet.';
comment on column traceability.agent_routing_decisions.execution_completed_at is
'When the agent ended; null if it did not, or not yet.';
comment on column traceability.agent_routing_decisions.created_at is
'When it was decided, 2000 to 2099.';
comment on column traceability.agent_routing_decisions.updated_at is
'When the row was last changed.';
comment on column traceability.agent_routing_decisions.tenant_id is
'Tenant; ''default'' without tenants.';
comment on column traceability.agent_routing_decisions.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- Partitioned by month of the start. That execution_order is unique in a trace is a rule that a
-- partitioned table cannot declare: a data test watches it.
create table traceability.hook_executions (
    trace_id uuid not null references traceability.execution_traces (id) on delete cascade,
    id uuid not null default gen_random_uuid(),
    hook_type text not null check (
        hook_type = any(
            '{UserPromptSubmit,PreToolUse,PostToolUse,Stop,SessionStart,SessionEnd}'
        )
    ),
    hook_name text not null,
    execution_order integer not null check (execution_order >= 1),
    tool_name text,
    file_path text,
    started_at timestamptz not null default now() check (
        started_at >= timestamptz '2000-01-01 00:00+00'
        and started_at < timestamptz '2100-01-01 00:00+00'
    ),
    completed_at timestamptz check (completed_at < timestamptz '2100-01-01 00:00+00'),
    duration_ms integer check (duration_ms >= 0),
    status text not null default 'in_progress' check (
        status = any('{in_progress,completed,failed}')
    ),
    input_data jsonb,
    output_data jsonb,
    modifications_made jsonb,
    rag_query_performed boolean default false,
    rag_results jsonb check (jsonb_typeof(rag_results) = 'object'),
    quality_check_performed boolean default false,
    quality_results jsonb constraint hook_quality_results_shape check (
        jsonb_typeof(quality_results) = 'object'
        and coalesce(jsonb_typeof(quality_results -> 'quality_score'), 'null') in ('number', 'null')
        and not quality_results @? '$.quality_score ? (@ < 0 || @ > 1)'
    ),
    error_message text,
    error_type text,
    error_stack text,
    metadata jsonb check (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (trace_id, id, started_at),
    constraint hook_executions_end_not_before_start check (completed_at >= started_at)
) partition by range (started_at);

alter table traceability.hook_executions enable row level security;

-- Writers know an execution by its id alone.
create index idx_hook_id on traceability.hook_executions (id);
-- A trace's hooks in order.
create index idx_hook_trace_order on traceability.hook_executions (trace_id, execution_order);
-- Executions of a kind of hook.
create index idx_hook_type on traceability.hook_executions (hook_type);
-- Executions around a tool.
create index idx_hook_tool on traceability.hook_executions (tool_name);
-- Executions still open, or failed.
create index idx_hook_status on traceability.hook_executions (status)
where status <> 'completed';
-- Executions of a period within a month.
create index idx_hook_started_at on traceability.hook_executions (started_at desc);
-- Executions that failed in one way; most have no error.
create index idx_hook_error_type on traceability.hook_executions (error_type, started_at desc)
where error_type is not null;
-- What changed since a refresh.
create index idx_hook_change_id on traceability.hook_executions
using brin (change_id) with (autosummarize = on);

create policy hook_executions_service on traceability.hook_executions
for all to service_role using (true) with check (true);

grant select, insert, update on traceability.hook_executions to agentbooks_loader;
grant select on traceability.hook_executions to agentbooks_refresher, authenticated;
grant select, delete on traceability.hook_executions to agentbooks_retention;
grant select, insert, update, delete on traceability.hook_executions to service_role;

comment on table traceability.hook_executions is 'One row per run of a hook within a trace.';
comment on column traceability.hook_executions.trace_id is 'Its trace; deleted with it.';
comment on column traceability.hook_executions.id is 'The execution; endpoint calls name it.';
comment on column traceability.hook_executions.hook_type is
'When the hook runs: at a prompt, around a tool, at a stop, at a session''s ends.';
comment on column traceability.hook_executions.hook_name is 'Name of the hook.';
comment on column traceability.hook_executions.execution_order is
'Place among the trace''s hooks, from 1.';
comment on column traceability.hook_executions.tool_name is
'Tool it ran around, such as Write or Read; null if none.';
comment on column traceability.hook_executions.file_path is 'File the tool touched; null if none.';
comment on column traceability.hook_executions.started_at is
'Start, 2000 to 2099; decides the partition.';
comment on column traceability.hook_executions.completed_at is 'End; null while it runs.';
comment on column traceability.hook_executions.duration_ms is
'Milliseconds it took; null if not measured.';
comment on column traceability.hook_executions.status is 'in_progress, completed or failed.';
comment on column traceability.hook_executions.input_data is
'What went in; null if not kept. Personal data.';
comment on column traceability.hook_executions.output_data is
'What came out; null if not kept. Personal data.';
comment on column traceability.hook_executions.modifications_made is
'What it changed in the tool''s input; null if nothing.';
comment on column traceability.hook_executions.rag_query_performed is
'Whether it searched for knowledge.';
comment on column traceability.hook_executions.rag_results is
'An object: matches, confidence, top_pattern. Null if it did not search.';
comment on column traceability.hook_executions.quality_check_performed is
'Whether it checked the quality of the work.';
comment on column traceability.hook_executions.quality_results is
'An object: violations_found, corrections_applied, quality_score (0 to 1). Null if not checked.';
comment on column traceability.hook_executions.error_message is
'What went wrong; null if nothing did.';
comment on column traceability.hook_executions.error_type is
'Class of the error; null if there was none.';
comment on column traceability.hook_executions.error_stack is
'Stack trace; may hold personal data.';
comment on column traceability.hook_executions.metadata is
'An object that repeats figures of the results, such as quality_score and processing_time_ms.';
comment on column traceability.hook_executions.created_at is 'When the row was written.';
comment on column traceability.hook_executions.updated_at is 'When the row was last changed.';
comment on column traceability.hook_executions.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column traceability.hook_executions.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';

create table traceability.hook_executions_default partition of traceability.hook_executions default;
alter table traceability.hook_executions_default enable row level security;

select ops.create_month_partitions(
    'traceability.hook_executions', current_date, (current_date + interval '3 months')::date
);


-- Partitioned by month of the start. Writers blank secrets in bodies and headers before they send
-- them. The hook stands in a partitioned table, so there is no key to it: a data test replaces it.
create table traceability.endpoint_calls (
    trace_id uuid not null references traceability.execution_traces (id) on delete cascade,
    id uuid not null default gen_random_uuid(),
    hook_execution_id uuid,
    service text not null check (service <> ''),
    endpoint_url text not null,
    method text not null check (
        method = any('{GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS}')
    ),
    request_body jsonb,
    response_body jsonb,
    headers jsonb check (jsonb_typeof(headers) = 'object'),
    context jsonb check (jsonb_typeof(context) = 'object'),
    status_code integer check (status_code between 100 and 599),
    started_at timestamptz not null default now() check (
        started_at >= timestamptz '2000-01-01 00:00+00'
        and started_at < timestamptz '2100-01-01 00:00+00'
    ),
    completed_at timestamptz check (completed_at < timestamptz '2100-01-01 00:00+00'),
    duration_ms integer check (duration_ms >= 0),
    success boolean not null,
    error_message text,
    error_type text,
    retry_count integer default 0 check (retry_count >= 0),
    rag_query text,
    quality_score numeric(5, 4) check (quality_score between 0 and 1),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (trace_id, id, started_at),
    constraint endpoint_calls_end_not_before_start check (completed_at >= started_at)
) partition by range (started_at);

alter table traceability.endpoint_calls enable row level security;

-- Writers know a call by its id alone.
create index idx_endpoint_id on traceability.endpoint_calls (id);
-- A trace's calls in order.
create index idx_endpoint_trace_started on traceability.endpoint_calls (trace_id, started_at);
-- Calls that a hook made; many come from none.
create index idx_endpoint_hook on traceability.endpoint_calls (hook_execution_id)
where hook_execution_id is not null;
-- Calls of a service.
create index idx_endpoint_service on traceability.endpoint_calls (service);
-- Calls of an endpoint.
create index idx_endpoint_url on traceability.endpoint_calls (endpoint_url);
-- Calls with an answer of one kind.
create index idx_endpoint_status_code on traceability.endpoint_calls (status_code);
-- Calls of a period within a month.
create index idx_endpoint_started_at on traceability.endpoint_calls (started_at desc);
-- Calls that failed in one way; most have no error.
create index idx_endpoint_error_type on traceability.endpoint_calls (error_type, started_at desc)
where error_type is not null;
-- What changed since a refresh.
create index idx_endpoint_change_id on traceability.endpoint_calls
using brin (change_id) with (autosummarize = on);

create policy endpoint_calls_service on traceability.endpoint_calls
for all to service_role using (true) with check (true);

grant select, insert, update on traceability.endpoint_calls to agentbooks_loader;
grant select on traceability.endpoint_calls to agentbooks_refresher, authenticated;
grant select, delete on traceability.endpoint_calls to agentbooks_retention;
grant select, insert, update, delete on traceability.endpoint_calls to service_role;

comment on table traceability.endpoint_calls is
'One row per call of a service within a trace, retries included in the row.';
comment on column traceability.endpoint_calls.trace_id is 'Its trace; deleted with it.';
comment on column traceability.endpoint_calls.id is 'The call.';
comment on column traceability.endpoint_calls.hook_execution_id is
'The hook that made it; null if none did. No key.';
comment on column traceability.endpoint_calls.service is
'Service that was called, such as RAG or quality_assessment; an open list.';
comment on column traceability.endpoint_calls.endpoint_url is 'Path of the endpoint.';
comment on column traceability.endpoint_calls.method is 'HTTP method in capitals.';
comment on column traceability.endpoint_calls.request_body is
'What was sent, secrets blanked by the writer; null if nothing, or not kept. Personal data.';
comment on column traceability.endpoint_calls.response_body is
'What came back, secrets blanked by the writer; null if nothing, or not kept. Personal data.';
comment on column traceability.endpoint_calls.headers is
'Headers sent, secrets blanked by the writer; null if not kept.';
comment on column traceability.endpoint_calls.context is 'Circumstances of the call, an object.';
comment on column traceability.endpoint_calls.status_code is
'HTTP status of the answer; null if none came.';
comment on column traceability.endpoint_calls.started_at is
'Start, 2000 to 2099; decides the partition.';
comment on column traceability.endpoint_calls.completed_at is 'End; null if no answer came.';
comment on column traceability.endpoint_calls.duration_ms is
'Milliseconds it took, retries included; null if not measured.';
comment on column traceability.endpoint_calls.success is 'The writer''s verdict on the whole call.';
comment on column traceability.endpoint_calls.error_message is
'What went wrong; null if nothing did.';
comment on column traceability.endpoint_calls.error_type is
'timeout, connection_error, http_error or another; null if there was none.';
comment on column traceability.endpoint_calls.retry_count is 'Attempts after the first.';
comment on column traceability.endpoint_calls.rag_query is
'What was searched for; null if it was no search. Personal data.';
comment on column traceability.endpoint_calls.quality_score is
'Score that a quality check answered with, 0 to 1; null if it was none.';
comment on column traceability.endpoint_calls.created_at is 'When the row was written.';
comment on column traceability.endpoint_calls.updated_at is 'When the row was last changed.';
comment on column traceability.endpoint_calls.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column traceability.endpoint_calls.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';

create table traceability.endpoint_calls_default partition of traceability.endpoint_calls default;
alter table traceability.endpoint_calls_default enable row level security;

select ops.create_month_partitions(
    'traceability.endpoint_calls', current_date, (current_date + interval '3 months')::date
);
