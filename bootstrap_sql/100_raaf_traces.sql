-- Schema raaf: traces and spans as a Rails application records them. Rails writes times without a
-- zone and means UTC; its sessions run in UTC, so that they arrive here as they were meant.

set local role agentbooks_owner;

create schema raaf;
comment on schema raaf is
'Source system raaf: traces and spans of agents in a Rails application. Written by the application.';

grant usage on schema raaf to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;


-- The application writes a trace when its first span ends, and again with each later one.
create table raaf.raaf_tracing_traces (
    trace_id varchar not null primary key check (btrim(trace_id) <> ''),
    workflow_name varchar not null default 'Unknown Workflow'
    check (char_length(workflow_name) between 1 and 255),
    group_id varchar,
    status varchar not null default 'pending'
    check (status in ('pending', 'running', 'completed', 'failed')),
    started_at timestamptz check (
        started_at >= timestamptz '2000-01-01 00:00+00'
        and started_at < timestamptz '2100-01-01 00:00+00'
    ),
    ended_at timestamptz check (
        ended_at >= timestamptz '2000-01-01 00:00+00'
        and ended_at < timestamptz '2100-01-01 00:00+00'
    ),
    metadata jsonb default '{}' check (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint raaf_tracing_traces_end_not_before_start check (ended_at >= started_at)
);

alter table raaf.raaf_tracing_traces enable row level security;

-- Traces of a workflow, newest first.
create index idx_raaf_tracing_traces_workflow_time
on raaf.raaf_tracing_traces (workflow_name, started_at desc);
-- Traces still open, or failed.
create index idx_raaf_tracing_traces_status
on raaf.raaf_tracing_traces (status) where status <> 'completed';
-- Traces of a period, and retention by age.
create index idx_raaf_tracing_traces_started_at on raaf.raaf_tracing_traces (started_at desc);
-- Traces of one conversation; most belong to none.
create index idx_raaf_tracing_traces_group_id
on raaf.raaf_tracing_traces (group_id) where group_id is not null;
-- Containment in metadata: @>.
create index idx_raaf_tracing_traces_metadata
on raaf.raaf_tracing_traces using gin (metadata jsonb_path_ops);
-- What changed since a refresh.
create index idx_raaf_tracing_traces_change_id
on raaf.raaf_tracing_traces using brin (change_id) with (autosummarize = on);

-- The source knows no users: whoever is of the tenant may look.
create policy raaf_tracing_traces_tenant on raaf.raaf_tracing_traces
for select to authenticated
using (tenant_id = (select ops.caller_tenant_id()));

grant select, insert, update on raaf.raaf_tracing_traces to agentbooks_loader;
grant select on raaf.raaf_tracing_traces to agentbooks_refresher, authenticated;
grant select, delete on raaf.raaf_tracing_traces to agentbooks_retention;
grant select, insert, update, delete on raaf.raaf_tracing_traces to service_role;

comment on table raaf.raaf_tracing_traces is
'One row per run of a workflow. Deleting one deletes its spans; expire traces, never single spans.';
comment on column raaf.raaf_tracing_traces.trace_id is
'As the tracer made it: trace_ and 32 letters or digits. Other writers'' ids are taken too.';
comment on column raaf.raaf_tracing_traces.workflow_name is
'''Unknown Workflow'' where the application named none.';
comment on column raaf.raaf_tracing_traces.group_id is
'Links the traces of one conversation; null if the trace stands alone.';
comment on column raaf.raaf_tracing_traces.status is
'As last computed by the writer: pending without spans, failed with any span in error, completed '
'when all are final, running otherwise. It may lag behind the spans.';
comment on column raaf.raaf_tracing_traces.started_at is 'Start of the run; null if not known.';
comment on column raaf.raaf_tracing_traces.ended_at is
'End of its latest span; null until it is final.';
comment on column raaf.raaf_tracing_traces.metadata is
'An object, free in its keys; null and {} both mean none.';
comment on column raaf.raaf_tracing_traces.created_at is 'When the row was written.';
comment on column raaf.raaf_tracing_traces.updated_at is 'When the row was last changed.';
comment on column raaf.raaf_tracing_traces.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column raaf.raaf_tracing_traces.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- Partitioned by month of its start. Rails knows a span by span_id alone, hence that index.
-- Lists of values, here and in the other tables that grow fast, are arrays: a list of constants is put
-- together anew by every insert.
create table raaf.raaf_tracing_spans (
    span_id varchar not null check (btrim(span_id) <> ''),
    trace_id varchar not null references raaf.raaf_tracing_traces on delete cascade,
    parent_id varchar,
    name varchar not null check (char_length(name) between 1 and 255),
    kind varchar not null default 'internal' check (
        kind = any(
            '{agent,llm,tool,handoff,guardrail,mcp_list_tools,response,speech_group,speech,'
            'transcription,custom,internal,trace,pipeline,job}'
        )
    ),
    status varchar not null default 'ok' check (status = any('{ok,error,cancelled,skipped}')),
    start_time timestamptz not null default now(),
    end_time timestamptz check (end_time < timestamptz '2100-01-01 00:00+00'),
    duration_ms numeric check (duration_ms >= 0 and duration_ms < 'infinity'),
    span_attributes jsonb default '{}' check (jsonb_typeof(span_attributes) = 'object'),
    events jsonb default '[]' check (
        jsonb_typeof(events) = 'array' and not events @? '$[*].type() ? (@ != "object")'
    ),
    input_tokens integer check (input_tokens >= 0),
    output_tokens integer check (output_tokens >= 0),
    total_tokens integer check (total_tokens >= 0),
    agent_model varchar(100),
    call_fee_cents numeric check (call_fee_cents >= 0 and call_fee_cents < 'infinity'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (trace_id, span_id, start_time),
    constraint raaf_tracing_spans_not_its_own_parent check (parent_id <> span_id),
    constraint raaf_tracing_spans_end_not_before_start check (end_time >= start_time),
    constraint raaf_tracing_spans_start_time_readable check (
        start_time >= timestamptz '2000-01-01 00:00+00'
        and start_time < timestamptz '2100-01-01 00:00+00'
    )
) partition by range (start_time);

alter table raaf.raaf_tracing_spans enable row level security;

-- Rails finds and updates a span by its id alone.
create index idx_raaf_tracing_spans_span_id on raaf.raaf_tracing_spans (span_id);
-- Children of a span, when the trace is not known.
create index idx_raaf_tracing_spans_parent_id on raaf.raaf_tracing_spans (parent_id);
-- The span tree of a trace, level by level.
create index idx_raaf_tracing_spans_trace_parent on raaf.raaf_tracing_spans (trace_id, parent_id);
-- Spans of one tool or agent by the name that it was given.
create index idx_raaf_tracing_spans_name on raaf.raaf_tracing_spans (name);
-- The latest spans of a kind.
create index idx_raaf_tracing_spans_kind on raaf.raaf_tracing_spans (kind, start_time desc);
-- The latest errors; the tenant, so that the rows of others are passed over within the index.
create index idx_raaf_tracing_spans_status
on raaf.raaf_tracing_spans (status, start_time desc, tenant_id) where status <> 'ok';
-- Dashboards of recent spans; one day out of a month.
create index idx_raaf_tracing_spans_recent on raaf.raaf_tracing_spans (start_time desc);
-- Containment in attributes: @>.
create index idx_raaf_tracing_spans_attributes
on raaf.raaf_tracing_spans using gin (span_attributes jsonb_path_ops);
-- Containment in events, such as exceptions of a type: @>.
create index idx_raaf_tracing_spans_events
on raaf.raaf_tracing_spans using gin (events jsonb_path_ops);
-- What changed since a refresh.
create index idx_raaf_tracing_spans_change_id
on raaf.raaf_tracing_spans using brin (change_id) with (autosummarize = on);

create policy raaf_tracing_spans_tenant on raaf.raaf_tracing_spans
for select to authenticated
using (tenant_id = (select ops.caller_tenant_id()));

grant select, insert, update on raaf.raaf_tracing_spans to agentbooks_loader;
grant select on raaf.raaf_tracing_spans to agentbooks_refresher, authenticated;
grant select, delete on raaf.raaf_tracing_spans to agentbooks_retention;
grant select, insert, update, delete on raaf.raaf_tracing_spans to service_role;

comment on table raaf.raaf_tracing_spans is
'One row per step of a trace. A job repeats the tokens of its children, and an agent may repeat '
'those of its llm spans: add up one level only.';
comment on column raaf.raaf_tracing_spans.span_id is
'As the tracer made it: span_ and 24 letters or digits. Unique by the tracer''s word: the key holds '
'the trace and the start too.';
comment on column raaf.raaf_tracing_spans.trace_id is 'Trace it is a step of.';
comment on column raaf.raaf_tracing_spans.parent_id is
'Span it ran in; null for a root. No key: a parent is written after its children.';
comment on column raaf.raaf_tracing_spans.name is 'Name of the step.';
comment on column raaf.raaf_tracing_spans.kind is 'What was done; it says which attributes to expect.';
comment on column raaf.raaf_tracing_spans.status is
'How it ended. The attribute agent.status, where present, has overwritten it.';
comment on column raaf.raaf_tracing_spans.start_time is
'Start, 2000 to 2099; the partition key. Time of writing where the writer leaves it out.';
comment on column raaf.raaf_tracing_spans.end_time is 'End; null while it runs or if not recorded.';
comment on column raaf.raaf_tracing_spans.duration_ms is
'Milliseconds, and authoritative: other places that hold a duration are copies. Null if unknown.';
comment on column raaf.raaf_tracing_spans.span_attributes is
'An object; the same fact stands under dotted keys (llm.model) or nested ones ({llm: {model}}). '
'Values are cut at 10,000 characters. Prompts and answers: personal data.';
comment on column raaf.raaf_tracing_spans.events is
'Array of {name, timestamp, attributes}; an event named exception holds the error.';
comment on column raaf.raaf_tracing_spans.input_tokens is 'Null: not recorded, which is not 0.';
comment on column raaf.raaf_tracing_spans.output_tokens is 'Null: not recorded, which is not 0.';
comment on column raaf.raaf_tracing_spans.total_tokens is
'As reported; it may hold more than input and output. Null: not recorded.';
comment on column raaf.raaf_tracing_spans.agent_model is
'Model as its provider names it; null: look in span_attributes.';
comment on column raaf.raaf_tracing_spans.call_fee_cents is
'Fee of the call in US cents, beside its tokens (a search, for example); null: none recorded.';
comment on column raaf.raaf_tracing_spans.created_at is 'When the row was written.';
comment on column raaf.raaf_tracing_spans.updated_at is 'When the row was last changed.';
comment on column raaf.raaf_tracing_spans.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column raaf.raaf_tracing_spans.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';

create table raaf.raaf_tracing_spans_default partition of raaf.raaf_tracing_spans default;
alter table raaf.raaf_tracing_spans_default enable row level security;

select ops.create_month_partitions(
    'raaf.raaf_tracing_spans', current_date, (current_date + interval '3 months')::date
);


-- A developer runs a span again with other prompts. Spans are partitioned, and no foreign key can
-- point to a span_id: data tests find the replays of spans that are gone.
create table raaf.raaf_tracing_span_replays (
    id bigint not null generated by default as identity primary key,
    original_span_id varchar not null,
    replayed_span_id varchar check (replayed_span_id <> original_span_id),
    configuration_changes jsonb default '{}' check (jsonb_typeof(configuration_changes) = 'object'),
    system_prompt jsonb,
    user_messages jsonb default '[]' check (jsonb_typeof(user_messages) = 'array'),
    status varchar not null default 'pending',
    error_message text,
    notes text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table raaf.raaf_tracing_span_replays enable row level security;

-- Replays of a span.
create index idx_raaf_tracing_span_replays_original
on raaf.raaf_tracing_span_replays (original_span_id);
-- The replay that a span came from; most spans are none.
create index idx_raaf_tracing_span_replays_replayed
on raaf.raaf_tracing_span_replays (replayed_span_id) where replayed_span_id is not null;

create policy raaf_tracing_span_replays_tenant on raaf.raaf_tracing_span_replays
for select to authenticated
using (tenant_id = (select ops.caller_tenant_id()));

grant select, insert, update on raaf.raaf_tracing_span_replays to agentbooks_loader;
grant select on raaf.raaf_tracing_span_replays to agentbooks_refresher, authenticated;
grant select, delete on raaf.raaf_tracing_span_replays to agentbooks_retention;
grant select, insert, update, delete on raaf.raaf_tracing_span_replays to service_role;

comment on table raaf.raaf_tracing_span_replays is 'One row per attempt to run a span again.';
comment on column raaf.raaf_tracing_span_replays.id is 'Number of the replay.';
comment on column raaf.raaf_tracing_span_replays.original_span_id is
'Span that was run again. No key.';
comment on column raaf.raaf_tracing_span_replays.replayed_span_id is
'Span of the new run; null until it ran, or if it failed before. No key.';
comment on column raaf.raaf_tracing_span_replays.configuration_changes is
'Object of the settings that differ from the original; null and {} both mean none.';
comment on column raaf.raaf_tracing_span_replays.system_prompt is
'Prompt used instead, any JSON value; null: the original''s. Personal data.';
comment on column raaf.raaf_tracing_span_replays.user_messages is
'Messages used instead; null and [] both mean the original''s. Personal data.';
comment on column raaf.raaf_tracing_span_replays.status is
'pending until it ran; the application''s other words are not fixed.';
comment on column raaf.raaf_tracing_span_replays.error_message is 'Why it failed; null if it did not.';
comment on column raaf.raaf_tracing_span_replays.notes is 'The developer''s remarks; null without.';
comment on column raaf.raaf_tracing_span_replays.created_at is 'When it was asked for.';
comment on column raaf.raaf_tracing_span_replays.updated_at is 'When the row was last changed.';
comment on column raaf.raaf_tracing_span_replays.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column raaf.raaf_tracing_span_replays.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';
