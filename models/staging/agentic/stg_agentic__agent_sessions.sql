-- One row per session of an agent.
select
    session_id,
    agent_id,
    tenant_id as tenant_key,
    user_id::text as user_id,
    {{ loaded_run_id() }} as loaded_run_id,
    coalesce({{ loaded_run_id() }}, session_id::text) as run_id,
    context ->> 'domain' as domain,
    context ->> 'task_id' as task_id,
    trust_level as trust_level_recorded,
    started_at,
    ended_at,
    {{ conform_status("session_state") }} as status,
    session_state as status_recorded
from {{ source("agentic", "agent_sessions") }}
