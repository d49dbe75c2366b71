-- One row per action that was audited. What records a redaction is none.
select
    audit_id,
    agent_id,
    nullif(session_id, '00000000-0000-0000-0000-000000000000') as session_id,
    tenant_id as tenant_key,
    user_id::text as user_id,
    action_type,
    risk_level,
    action_details ->> 'status' as action_status,
    case action_details -> 'rollback_available' when 'true' then true when 'false' then false end
        as is_reversible,
    timestamp as acted_at
from {{ source("agentic", "agent_audit_log") }}
where action_type <> 'audit_redaction'
