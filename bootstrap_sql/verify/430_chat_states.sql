-- Raises where a column, an index or a function is missing.

select
    id, agent_id, version, local_state, shared_state, session_state, persistent_state, state_hash,
    modification_count, valid_from, valid_until, is_current, created_at, last_modified, tenant_id,
    change_id
from chat.agent_states
where false;

select
    id, agent_id, state_id, checkpoint_type, trigger_reason, state_data, compression_type,
    size_bytes, restoration_time_ms, restoration_count, retention_policy, expires_at, created_at,
    tenant_id, change_id
from chat.state_checkpoints
where false;

select
    id, agent_id, from_state_id, to_state_id, transition_type, trigger, changes,
    rollback_available, rollback_data, created_at, tenant_id, change_id
from chat.state_transitions
where false;

select
    'chat.unique_current_state'::regclass,
    'chat.idx_states_valid_range'::regclass,
    'chat.idx_checkpoints_state'::regclass,
    'chat.idx_checkpoints_expires'::regclass,
    'chat.idx_transitions_agent'::regclass,
    'chat.idx_transitions_to_state'::regclass,
    'chat.idx_transitions_from_state'::regclass;

select 1 / has_function_privilege(
    'service_role',
    'chat.set_agent_state(uuid, text, text, jsonb, jsonb, jsonb, jsonb, text, text, jsonb, jsonb, uuid)',
    'execute'
)::int;

select 1 / has_function_privilege('service_role', f.signature, 'execute')::int
from (values
    ('chat.make_checkpoint(uuid, text, text, text, timestamptz, uuid)'),
    ('chat.restore_checkpoint(uuid, uuid, text, text, uuid)')
) as f (signature);
