-- Costs as the engine books them apart from its traces: per node, per period, per call from
-- outside. These may repeat what spans say, so never add the two up.

set local role agentbooks_owner;

create table observability.cost_records (
    id uuid not null default gen_random_uuid() primary key,
    execution_id text not null,
    workflow_id uuid,
    user_id uuid,
    node_id text not null,
    node_type text not null,
    cost numeric check (cost >= 0 and cost < 'infinity'),
    tokens_used jsonb check (observability.is_token_counts(tokens_used)),
    duration_ms numeric check (duration_ms >= 0 and duration_ms < 'infinity'),
    provider text,
    model text,
    category text not null check (
        category in ('llm', 'embedding', 'rerank', 'vector_search', 'other')
    ),
    config jsonb check (jsonb_typeof(config) = 'object'),
    metadata jsonb default '{}' check (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz not null default now() check (
        created_at >= timestamptz '2000-01-01 00:00+00'
        and created_at < timestamptz '2100-01-01 00:00+00'
    ),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table observability.cost_records enable row level security;

-- What an execution cost, node by node.
create index idx_cost_records_execution_id on observability.cost_records (execution_id);
-- What a workflow cost, newest first.
create index idx_cost_records_workflow_created on observability.cost_records
(workflow_id, created_at desc);
-- What a user spent, newest first.
create index idx_cost_records_user_created on observability.cost_records (user_id, created_at desc);
-- Costs of a period.
create index idx_cost_records_created_at on observability.cost_records (created_at desc);
-- What changed since a refresh.
create index idx_cost_records_change_id on observability.cost_records
using brin (change_id) with (autosummarize = on);

create policy cost_records_own on observability.cost_records
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
);

grant select, insert, update on observability.cost_records to agentbooks_loader;
grant select on observability.cost_records to agentbooks_refresher, authenticated;
grant select, delete on observability.cost_records to agentbooks_retention;
grant select, insert, update, delete on observability.cost_records to service_role;

comment on table observability.cost_records is
'One row per node of an execution that cost something.';
comment on column observability.cost_records.id is 'The record.';
comment on column observability.cost_records.execution_id is
'The run, as in traces.execution_id. No key: a run may have no trace.';
comment on column observability.cost_records.workflow_id is
'The workflow; null if it was never saved, or is gone.';
comment on column observability.cost_records.user_id is
'Who ran it. Null: nobody said, or the profile was deleted.';
comment on column observability.cost_records.node_id is 'The node within the workflow''s graph.';
comment on column observability.cost_records.node_type is 'Kind of node, as the engine names it.';
comment on column observability.cost_records.cost is 'USD. Null: unknown, not free.';
comment on column observability.cost_records.tokens_used is
'Keys input, output, total. Null: unknown, or no model was called.';
comment on column observability.cost_records.duration_ms is
'Milliseconds the node took; null if not measured.';
comment on column observability.cost_records.provider is 'Who was paid; null if not known.';
comment on column observability.cost_records.model is
'Model as the writer names it; null if none was called.';
comment on column observability.cost_records.category is
'What was paid for: llm, embedding, rerank, vector_search or other.';
comment on column observability.cost_records.config is
'The node''s settings at the time; null if not kept.';
comment on column observability.cost_records.metadata is
'Whatever else the writer knows, an object; null and {} both mean nothing.';
comment on column observability.cost_records.created_at is 'When it was booked, 2000 to 2099.';
comment on column observability.cost_records.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column observability.cost_records.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- The engine's own sums, kept as it writes them; the marts compute theirs from the records. Null in
-- a key means all workflows or all users, and such a row must be as unique as any. So deleting a
-- workflow or a user deletes their sums: set to null, they would collide with those of all.
create table observability.cost_aggregations (
    id uuid not null default gen_random_uuid() primary key,
    workflow_id uuid references observability.workflows (id) on delete cascade,
    user_id uuid references observability.profiles (id) on delete cascade,
    period_type text not null check (period_type in ('daily', 'weekly', 'monthly')),
    period_start timestamptz not null check (
        period_start >= timestamptz '2000-01-01 00:00+00'
        and period_start < timestamptz '2100-01-01 00:00+00'
    ),
    period_end timestamptz not null check (period_end <= timestamptz '2100-01-01 00:00+00'),
    total_cost numeric check (total_cost >= 0 and total_cost < 'infinity'),
    total_executions integer check (total_executions >= 0),
    total_tokens jsonb check (observability.is_token_counts(total_tokens)),
    cost_by_category jsonb check (jsonb_typeof(cost_by_category) = 'object'),
    cost_by_provider jsonb check (jsonb_typeof(cost_by_provider) = 'object'),
    cost_by_model jsonb check (jsonb_typeof(cost_by_model) = 'object'),
    metadata jsonb default '{}' check (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    unique nulls not distinct (tenant_id, workflow_id, user_id, period_type, period_start),
    constraint cost_aggregations_end_not_before_start check (period_end >= period_start)
);

alter table observability.cost_aggregations enable row level security;

-- A workflow's periods; the cascade from workflows.
create index idx_cost_aggregations_workflow on observability.cost_aggregations
(workflow_id, period_start desc);
-- A user's periods; the cascade from profiles.
create index idx_cost_aggregations_user on observability.cost_aggregations
(user_id, period_start desc);

create policy cost_aggregations_own on observability.cost_aggregations
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
);

grant select, insert, update on observability.cost_aggregations to agentbooks_loader;
grant select on observability.cost_aggregations to agentbooks_refresher, authenticated;
grant select, delete on observability.cost_aggregations to agentbooks_retention;
grant select, insert, update, delete on observability.cost_aggregations to service_role;

comment on table observability.cost_aggregations is
'One row per workflow, user and period, as the engine summed it up. Not a source of any mart.';
comment on column observability.cost_aggregations.id is 'The sum.';
comment on column observability.cost_aggregations.workflow_id is 'The workflow; null: all of them.';
comment on column observability.cost_aggregations.user_id is 'The user; null: all of them.';
comment on column observability.cost_aggregations.period_type is 'daily, weekly or monthly.';
comment on column observability.cost_aggregations.period_start is 'First moment of the period.';
comment on column observability.cost_aggregations.period_end is
'End of the period; whether the moment itself belongs to it is up to the writer.';
comment on column observability.cost_aggregations.total_cost is 'USD; null if not known.';
comment on column observability.cost_aggregations.total_executions is
'The original engine raised it once per node record, so it may count nodes, not executions.';
comment on column observability.cost_aggregations.total_tokens is
'Keys input, output, total; null if not known.';
comment on column observability.cost_aggregations.cost_by_category is
'USD by category of cost_records; null if not split.';
comment on column observability.cost_aggregations.cost_by_provider is
'USD by provider; null if not split.';
comment on column observability.cost_aggregations.cost_by_model is
'USD by model; null if not split.';
comment on column observability.cost_aggregations.metadata is
'Whatever else the writer knows, an object; null and {} both mean nothing.';
comment on column observability.cost_aggregations.created_at is 'When the row was written.';
comment on column observability.cost_aggregations.updated_at is 'When the row was last changed.';
comment on column observability.cost_aggregations.tenant_id is
'Tenant; ''default'' without tenants.';
comment on column observability.cost_aggregations.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


create table observability.usage_logs (
    id uuid not null default gen_random_uuid() primary key,
    api_key_id uuid,
    user_id uuid,
    workflow_id uuid,
    execution_id text,
    cost numeric not null check (cost >= 0 and cost < 'infinity'),
    duration_ms numeric not null check (duration_ms >= 0 and duration_ms < 'infinity'),
    status text not null,
    created_at timestamptz not null default now() check (
        created_at >= timestamptz '2000-01-01 00:00+00'
        and created_at < timestamptz '2100-01-01 00:00+00'
    ),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table observability.usage_logs enable row level security;

-- Calls with an API key, newest first.
create index idx_usage_logs_api_key_created on observability.usage_logs
(api_key_id, created_at desc);
-- Calls by a user, newest first.
create index idx_usage_logs_user_created on observability.usage_logs (user_id, created_at desc);
-- Calls of a workflow, newest first.
create index idx_usage_logs_workflow_created on observability.usage_logs
(workflow_id, created_at desc);
-- The call that started an execution.
create index idx_usage_logs_execution_id on observability.usage_logs (execution_id);
-- Calls of a period, and retention by age.
create index idx_usage_logs_created_at on observability.usage_logs (created_at desc);
-- What changed since a refresh.
create index idx_usage_logs_change_id on observability.usage_logs
using brin (change_id) with (autosummarize = on);

create policy usage_logs_own on observability.usage_logs
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
);

grant select, insert, update on observability.usage_logs to agentbooks_loader;
grant select on observability.usage_logs to agentbooks_refresher, authenticated;
grant select, delete on observability.usage_logs to agentbooks_retention;
grant select, insert, update, delete on observability.usage_logs to service_role;

comment on table observability.usage_logs is
'One row per call of a deployed workflow from outside.';
comment on column observability.usage_logs.id is 'The call.';
comment on column observability.usage_logs.api_key_id is
'The key that was used; null if none was. No table here holds keys.';
comment on column observability.usage_logs.user_id is
'The key''s owner. Null: nobody said, or the profile was deleted.';
comment on column observability.usage_logs.workflow_id is 'The workflow; null if it is gone.';
comment on column observability.usage_logs.execution_id is
'The run, as in traces.execution_id; null if none was started. No key.';
comment on column observability.usage_logs.cost is 'USD of the whole run.';
comment on column observability.usage_logs.duration_ms is 'Milliseconds of the whole run.';
comment on column observability.usage_logs.status is
'How it ended, in the engine''s words; an open list.';
comment on column observability.usage_logs.created_at is 'When it was called, 2000 to 2099.';
comment on column observability.usage_logs.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column observability.usage_logs.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';
