-- Raises where a column, a function, the policy or a right is missing, or a right is too much.

select
    audit_id, agent_id, session_id, action_type, action_details, risk_level, user_id, "timestamp",
    ip_address, user_agent, sequence, previous_hash, row_hash, commitments, salts, tenant_id,
    change_id
from agentic.agent_audit_log
where false;

select session_id, sequence, row_hash, tenant_id, change_id
from agentic.audit_chain_heads
where false;

select
    'agentic.agent_audit_log_default'::regclass,
    'agentic.redacted_details(jsonb)'::regprocedure,
    'agentic.audit_commitments(agentic.agent_audit_log)'::regprocedure,
    'agentic.audit_row_hash(agentic.agent_audit_log)'::regprocedure,
    'agentic.audit_first_broken_link(uuid)'::regprocedure,
    'agentic.chain_audit_entry()'::regprocedure,
    'agentic.refuse_audit_change()'::regprocedure,
    1 / has_table_privilege('service_role', 'agentic.agent_audit_log', 'insert')::int,
    1 / (not has_table_privilege('service_role', 'agentic.agent_audit_log', 'update, delete'))::int,
    1 / (not has_table_privilege('agentbooks_retention', 'agentic.agent_audit_log', 'delete'))::int;

select
    1 / has_function_privilege('agentbooks_retention', f.redact, 'execute')::int,
    1 / (not has_function_privilege('service_role', f.redact, 'execute'))::int
from (
    select 'agentic.redact_audit_entry(uuid, uuid, text, text[])'::regprocedure as redact
) as f;

select 1 / (count(*) = 1)::int as has_policy
from pg_policies
where schemaname = 'agentic' and tablename = 'agent_audit_log';
