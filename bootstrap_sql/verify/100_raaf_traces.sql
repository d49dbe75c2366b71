-- Raises where a column, an index, a partition, a policy or a right is missing.

select
    trace_id, workflow_name, group_id, status, started_at, ended_at, metadata, created_at,
    updated_at, tenant_id, change_id
from raaf.raaf_tracing_traces
where false;

select
    span_id, trace_id, parent_id, name, kind, status, start_time, end_time, duration_ms,
    span_attributes, events, input_tokens, output_tokens, total_tokens, agent_model, call_fee_cents,
    created_at, updated_at, tenant_id, change_id
from raaf.raaf_tracing_spans
where false;

select
    id, original_span_id, replayed_span_id, configuration_changes, system_prompt, user_messages,
    status, error_message, notes, created_at, updated_at, tenant_id, change_id
from raaf.raaf_tracing_span_replays
where false;

select
    'raaf.idx_raaf_tracing_traces_workflow_time'::regclass,
    'raaf.idx_raaf_tracing_traces_status'::regclass,
    'raaf.idx_raaf_tracing_traces_started_at'::regclass,
    'raaf.idx_raaf_tracing_traces_group_id'::regclass,
    'raaf.idx_raaf_tracing_traces_metadata'::regclass,
    'raaf.idx_raaf_tracing_traces_change_id'::regclass,
    'raaf.idx_raaf_tracing_spans_span_id'::regclass,
    'raaf.idx_raaf_tracing_spans_parent_id'::regclass,
    'raaf.idx_raaf_tracing_spans_trace_parent'::regclass,
    'raaf.idx_raaf_tracing_spans_name'::regclass,
    'raaf.idx_raaf_tracing_spans_kind'::regclass,
    'raaf.idx_raaf_tracing_spans_status'::regclass,
    'raaf.idx_raaf_tracing_spans_recent'::regclass,
    'raaf.idx_raaf_tracing_spans_attributes'::regclass,
    'raaf.idx_raaf_tracing_spans_events'::regclass,
    'raaf.idx_raaf_tracing_spans_change_id'::regclass,
    'raaf.idx_raaf_tracing_span_replays_original'::regclass,
    'raaf.idx_raaf_tracing_span_replays_replayed'::regclass;

select
    'raaf.raaf_tracing_spans_default'::regclass,
    1 / has_table_privilege('agentbooks_loader', 'raaf.raaf_tracing_spans', 'insert')::int,
    1 / (not has_table_privilege('agentbooks_loader', 'raaf.raaf_tracing_spans_default', 'insert'))::int;

select 1 / (count(*) = 3)::int as every_policy
from pg_policies
where schemaname = 'raaf';
