-- Raises where a column, an index, a function or a policy is missing.

select
    id, message_id, agent_id, snapshot_data, total_tokens, compression_ratio, segment_count,
    build_time_ms, optimization_count, created_at, tenant_id, change_id
from chat.context_snapshots
where false;

select
    id, name, description, segments, variables, total_tokens, use_count, use_cases, agent_types,
    created_at, updated_at, tenant_id, change_id
from chat.context_templates
where false;

select
    'chat.idx_snapshots_message'::regclass,
    'chat.idx_snapshots_agent'::regclass,
    'chat.idx_snapshots_change_id'::regclass,
    'chat.is_context_segments(jsonb)'::regprocedure;

select 1 / (count(*) = 1)::int as templates_are_seen
from pg_policies
where schemaname = 'chat' and tablename = 'context_templates';
