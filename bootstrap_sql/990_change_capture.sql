-- By which keys the changes of a raw table are followed: from these the refresh finds what it has to
-- count again. Where no model needs more than the day there is no id beside it: a day of a million rows
-- is one change then. Every raw table stands here, the kept forecasts and the tombstones of patterns. A
-- cluster skips this file, as it has no triggers.

set local role agentbooks_owner;

select ops.capture_changes(captured::regclass, keys)
from (values
    (
        'raaf.raaf_tracing_traces',
        $$trace_id, (coalesce(started_at, created_at) at time zone 'UTC')::date as day$$
    ),
    ('raaf.raaf_tracing_spans', $$trace_id, (start_time at time zone 'UTC')::date as day$$),
    ('raaf.raaf_tracing_span_replays', 'id'),

    ('observability.profiles', 'id'),
    ('observability.workflows', 'id'),
    (
        'observability.traces',
        $$trace_id, user_id, (started_at at time zone 'UTC')::date as day,
        case when metadata ? 'loader' then metadata ->> 'run_id' end as loaded_run_id$$
    ),
    ('observability.spans', $$(started_at at time zone 'UTC')::date as day$$),
    ('observability.cost_records', $$execution_id, (created_at at time zone 'UTC')::date as day$$),
    ('observability.cost_aggregations', $$id, (period_start at time zone 'UTC')::date as day$$),
    ('observability.usage_logs', $$execution_id, (created_at at time zone 'UTC')::date as day$$),

    ('traceability.success_patterns', 'id'),
    ('traceability.pattern_usage_log', $$(used_at at time zone 'UTC')::date as day$$),
    ('traceability.agent_chaining_patterns', 'id'),
    ('traceability.error_patterns', 'id'),
    (
        'traceability.execution_traces',
        $$id as trace_id, correlation_id, root_id, (started_at at time zone 'UTC')::date as day$$
    ),
    (
        'traceability.agent_routing_decisions',
        $$trace_id, pattern_id, (created_at at time zone 'UTC')::date as day$$
    ),
    ('traceability.hook_executions', $$(started_at at time zone 'UTC')::date as day$$),
    ('traceability.endpoint_calls', $$trace_id, (started_at at time zone 'UTC')::date as day$$),

    ('chat.users', 'id'),
    ('chat.agents', 'id'),
    ('chat.workspaces', 'id'),
    ('chat.workspace_members', 'workspace_id'),
    ('chat.chat_channels', 'id'),
    ('chat.datastores', 'id'),
    ('chat.agent_datastores', 'agent_id'),
    (
        'chat.conversation_sessions',
        $$id as session_id, agent_id, user_id, (started_at at time zone 'UTC')::date as day$$
    ),
    ('chat.chat_messages', $$channel_id, (created_at at time zone 'UTC')::date as day$$),
    ('chat.chat_messages_v2', $$(created_at at time zone 'UTC')::date as day$$),
    ('chat.message_versions', $$session_id, (created_at at time zone 'UTC')::date as day$$),
    ('chat.agent_memories', $$agent_id, (created_at at time zone 'UTC')::date as day$$),
    ('chat.memory_consolidations', $$agent_id, (created_at at time zone 'UTC')::date as day$$),
    ('chat.agent_states', $$agent_id, (valid_from at time zone 'UTC')::date as day$$),
    ('chat.state_checkpoints', $$agent_id, (created_at at time zone 'UTC')::date as day$$),
    ('chat.state_transitions', $$agent_id, (created_at at time zone 'UTC')::date as day$$),
    ('chat.context_snapshots', $$agent_id, (created_at at time zone 'UTC')::date as day$$),
    ('chat.context_templates', 'id'),

    ('agentic.users', 'user_id'),
    ('agentic.agents', 'agent_id'),
    (
        'agentic.agent_sessions',
        $$session_id, agent_id, user_id, (started_at at time zone 'UTC')::date as day,
        case when metadata ? 'loader' then metadata ->> 'run_id' end as loaded_run_id$$
    ),
    ('agentic.agent_decisions', $$(created_at at time zone 'UTC')::date as day$$),
    ('agentic.trust_metrics', $$session_id, (recorded_at at time zone 'UTC')::date as day$$),
    ('agentic.conversation_history', $$(created_at at time zone 'UTC')::date as day$$),
    ('agentic.agent_audit_log', $$(timestamp at time zone 'UTC')::date as day$$),
    ('agentic.agent_knowledge', $$agent_id, (created_at at time zone 'UTC')::date as day$$),

    ('ops.forecasts', 'forecast_date as day'),
    ('ops.pruned_patterns', 'pattern_id')
) as captures (captured, keys);
