-- One trace per execution of a workflow, one span per step of it. What was not measured is null,
-- never zero: a zero would pull every mean down.

set local role agentbooks_owner;

-- In PL/pgSQL, whose plans last for the session: a function in SQL would be planned again by each
-- insert of a single row.
create function observability.is_token_counts(counts jsonb) returns boolean
language plpgsql
immutable
strict
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return jsonb_typeof(counts) = 'object'
        and not counts @? 'strict $.* ? (
            @.type() != "number" && @.type() != "null" && @.type() != "object"
            || @ < 0 || @ > 1000000000000000 || @ != @.floor()
        )';
end
$function$;

comment on function observability.is_token_counts(jsonb) is
'Whether a value is an object of token counts: each a whole number from 0 to 10^15, null, or an '
'object of details. An array, a scalar or a count as text is none.';

revoke all on function observability.is_token_counts(jsonb) from public;
grant execute on function observability.is_token_counts(jsonb) to
    agentbooks_loader, service_role, authenticated;


-- The engine writes a trace when a run starts and again when it ends.
create table observability.traces (
    trace_id uuid not null default gen_random_uuid() primary key,
    workflow_id varchar(255) not null,
    execution_id varchar(255) not null,
    user_id uuid default ops.caller_user_uuid(),
    query text,
    started_at timestamptz not null default now() check (
        started_at >= timestamptz '2000-01-01 00:00+00'
        and started_at < timestamptz '2100-01-01 00:00+00'
    ),
    completed_at timestamptz check (completed_at < timestamptz '2100-01-01 00:00+00'),
    total_duration_ms numeric check (total_duration_ms >= 0 and total_duration_ms < 'infinity'),
    status varchar(50) not null default 'running'
    constraint valid_status check (status = any('{running,completed,failed,cancelled}')),
    error text,
    total_cost numeric check (total_cost >= 0 and total_cost < 'infinity'),
    total_tokens jsonb check (observability.is_token_counts(total_tokens)),
    metadata jsonb default '{}' check (jsonb_typeof(metadata) = 'object'),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint traces_end_not_before_start check (completed_at >= started_at)
);

alter table observability.traces enable row level security;

-- Runs of a workflow, newest first.
create index idx_traces_workflow_started on observability.traces (workflow_id, started_at desc);
-- A user's own runs, newest first; the key to profiles.
create index idx_traces_user_started on observability.traces (user_id, started_at desc);
-- Runs of a period, and retention by age.
create index idx_traces_started_at on observability.traces (started_at desc);
-- Runs still open, or failed.
create index idx_traces_status on observability.traces (status) where status <> 'completed';
-- Containment in metadata.
create index idx_traces_metadata_gin on observability.traces using gin (metadata jsonb_path_ops);
-- Containment in token totals.
create index idx_traces_total_tokens_gin on observability.traces
using gin (total_tokens jsonb_path_ops);
-- What changed since a refresh.
create index idx_traces_change_id on observability.traces
using brin (change_id) with (autosummarize = on);

-- A trace of nobody belongs to nobody: the engine's own runs are seen by the server alone.
create policy traces_own on observability.traces
for all to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
)
with check (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
);

grant select, insert, update on observability.traces to agentbooks_loader;
grant select on observability.traces to agentbooks_refresher;
grant select, delete on observability.traces to agentbooks_retention;
grant select, insert, update, delete on observability.traces to service_role;
-- Not change_id: a row with an old one would never be counted.
grant
    select,
    insert (
        trace_id, workflow_id, execution_id, user_id, query, started_at, completed_at,
        total_duration_ms, status, error, total_cost, total_tokens, metadata, tenant_id
    ),
    update
on observability.traces to authenticated;

comment on table observability.traces is
'One row per execution of a workflow. Totals are set when it completes; a failed one has none '
'although its spans cost money, so add up spans instead.';
comment on column observability.traces.trace_id is 'The trace; spans name it.';
comment on column observability.traces.workflow_id is
'The workflow''s id as text, or ''unknown'' for one that was never saved. No key.';
comment on column observability.traces.execution_id is 'The engine''s id of the run, unique.';
comment on column observability.traces.user_id is
'Who ran it: by default the caller. Null: nobody said, or the profile was deleted.';
comment on column observability.traces.query is
'What was asked; null if there was no input. Personal data.';
comment on column observability.traces.started_at is 'Start of the run, 2000 to 2099.';
comment on column observability.traces.completed_at is
'End of the run. Null while it runs, and where the writer did not know.';
comment on column observability.traces.total_duration_ms is
'Milliseconds from start to end as the writer measured them; null if not measured.';
comment on column observability.traces.status is
'running, completed, failed or cancelled. Only a failed llm or final_output span fails the trace.';
comment on column observability.traces.error is 'Why it failed; null unless it did.';
comment on column observability.traces.total_cost is
'Sum over spans in USD, written on success alone. Null: unknown, not free.';
comment on column observability.traces.total_tokens is
'Sum over spans, keys input, output, total (spans call them otherwise). Null: unknown.';
comment on column observability.traces.metadata is
'Whatever else the writer knows, an object; null and {} both mean nothing.';
comment on column observability.traces.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column observability.traces.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- Partitioned by month of the start. A partitioned table cannot promise that parent_span_id exists
-- in the same trace: a data test does.
create table observability.spans (
    trace_id uuid not null references observability.traces (trace_id) on delete cascade,
    span_id uuid not null default gen_random_uuid(),
    parent_span_id uuid,
    user_id uuid default ops.caller_user_uuid(),
    span_type varchar(50) not null
    constraint valid_span_type check (
        span_type = any(
            '{query_input,chunking,embedding,vector_search,reranking,llm,final_output,agent_start,'
            'agent_tool_call,agent_reasoning,agent_complete,workflow_start,workflow_complete,'
            'node_execution,error}'
        )
    ),
    name varchar(255) not null,
    status varchar(50) not null default 'pending'
    constraint valid_span_status check (
        status = any('{pending,running,completed,failed,cancelled}')
    ),
    started_at timestamptz not null default now() check (
        started_at >= timestamptz '2000-01-01 00:00+00'
        and started_at < timestamptz '2100-01-01 00:00+00'
    ),
    completed_at timestamptz check (completed_at < timestamptz '2100-01-01 00:00+00'),
    duration_ms numeric check (duration_ms >= 0 and duration_ms < 'infinity'),
    inputs jsonb,
    outputs jsonb,
    tokens jsonb check (observability.is_token_counts(tokens)),
    cost numeric check (cost >= 0 and cost < 'infinity'),
    model varchar(255),
    provider varchar(100),
    error text,
    error_type varchar(100),
    error_stack text,
    api_limits jsonb check (jsonb_typeof(api_limits) = 'object'),
    retry_count integer default 0 check (retry_count >= 0),
    timeout_ms numeric check (timeout_ms >= 0 and timeout_ms < 'infinity'),
    evaluation jsonb check (jsonb_typeof(evaluation) = 'object'),
    metadata jsonb default '{}' check (jsonb_typeof(metadata) = 'object'),
    timeout integer,
    child_spans text[],
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (trace_id, span_id, started_at),
    constraint spans_end_not_before_start check (completed_at >= started_at),
    constraint spans_not_own_parent check (parent_span_id <> span_id)
) partition by range (started_at);

alter table observability.spans enable row level security;

-- A trace's spans in order.
create index idx_spans_trace_started on observability.spans (trace_id, started_at);
-- Writers know a span by its id alone.
create index idx_spans_span_id on observability.spans (span_id);
-- Children of a span.
create index idx_spans_parent_span_id on observability.spans (parent_span_id);
-- A user's own spans; most spans have no user.
create index idx_spans_user_started on observability.spans (user_id, started_at desc)
where user_id is not null;
-- Steps of one kind.
create index idx_spans_span_type on observability.spans (span_type);
-- Steps still open, or failed.
create index idx_spans_status on observability.spans (status) where status <> 'completed';
-- Steps of a period within a month.
create index idx_spans_started_at on observability.spans (started_at);
-- Containment in token counts.
create index idx_spans_tokens_gin on observability.spans using gin (tokens jsonb_path_ops);
-- Containment in metadata.
create index idx_spans_metadata_gin on observability.spans using gin (metadata jsonb_path_ops);
-- What changed since a refresh.
create index idx_spans_change_id on observability.spans
using brin (change_id) with (autosummarize = on);

create policy spans_own on observability.spans
for all to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
)
with check (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
);

grant select, insert, update on observability.spans to agentbooks_loader;
grant select on observability.spans to agentbooks_refresher;
grant select, delete on observability.spans to agentbooks_retention;
grant select, insert, update, delete on observability.spans to service_role;
grant
    select,
    insert (
        trace_id, span_id, parent_span_id, user_id, span_type, name, status, started_at,
        completed_at, duration_ms, inputs, outputs, tokens, cost, model, provider, error, error_type,
        error_stack, api_limits, retry_count, timeout_ms, evaluation, metadata, timeout, child_spans,
        tenant_id
    ),
    update
on observability.spans to authenticated;

comment on table observability.spans is
'One row per step of a trace. The children of a span are those that name it as parent_span_id.';
comment on column observability.spans.trace_id is 'Its trace; deleted with it.';
comment on column observability.spans.span_id is 'The span, unique in its trace.';
comment on column observability.spans.parent_span_id is
'The span it is part of, in the same trace; null at the top. No key.';
comment on column observability.spans.user_id is
'Who may read it: by default the caller. Null: nobody, even if the trace has a user.';
comment on column observability.spans.span_type is
'Kind of step, one of 15. Only some call a model.';
comment on column observability.spans.name is 'As the writer calls the step.';
comment on column observability.spans.status is 'pending, running, completed, failed or cancelled.';
comment on column observability.spans.started_at is
'Start of the step, 2000 to 2099; decides the partition. A pending step has the time of writing.';
comment on column observability.spans.completed_at is
'End of the step. Null while it runs, and where the writer did not know.';
comment on column observability.spans.duration_ms is
'Milliseconds as the writer measured them; null if not measured.';
comment on column observability.spans.inputs is 'What went in; null if not kept. Personal data.';
comment on column observability.spans.outputs is 'What came out; null if not kept. Personal data.';
comment on column observability.spans.tokens is
'Keys input_tokens, output_tokens, total_tokens (traces call them otherwise). Null: unknown.';
comment on column observability.spans.cost is
'USD, without its children''s. Null: unknown, not free.';
comment on column observability.spans.model is
'Model as the writer names it; null if none was called.';
comment on column observability.spans.provider is 'Who served the model; null if none was called.';
comment on column observability.spans.error is 'Why it failed; null unless it did.';
comment on column observability.spans.error_type is 'Class of the error; null unless it failed.';
comment on column observability.spans.error_stack is 'Stack trace; may hold personal data.';
comment on column observability.spans.api_limits is
'The provider''s answer about limits: rate_limit, remaining, reset_at. Null if it gave none.';
comment on column observability.spans.retry_count is 'Attempts after the first.';
comment on column observability.spans.timeout_ms is
'Limit set for the step in milliseconds; null: none.';
comment on column observability.spans.evaluation is
'The engine''s own warnings and metrics on quality, speed and cost; null if not evaluated.';
comment on column observability.spans.metadata is
'Whatever else the writer knows, an object; null and {} both mean nothing.';
comment on column observability.spans.timeout is
'Taken because the engine sends it, without saying in which unit. Nothing reads it: write timeout_ms.';
comment on column observability.spans.child_spans is
'Taken because the engine sends it. Nothing reads it: parent_span_id says the same and is checked.';
comment on column observability.spans.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column observability.spans.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';

create table observability.spans_default partition of observability.spans default;
alter table observability.spans_default enable row level security;

select ops.create_month_partitions(
    'observability.spans', current_date, (current_date + interval '3 months')::date
);
