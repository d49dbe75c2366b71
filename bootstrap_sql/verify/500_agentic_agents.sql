-- Raises where a table, a column, a function, a policy or a right is missing.

select user_id, email, full_name, is_active, created_at, tenant_id, change_id
from agentic.users
where false;

select
    agent_id, name, persona_type, capabilities, config, version, is_active, created_at, updated_at,
    tenant_id, change_id
from agentic.agents
where false;

select
    session_id, agent_id, user_id, trust_level, context, started_at, ended_at, session_state,
    metadata, version, tenant_id, change_id
from agentic.agent_sessions
where false;

select
    'agentic.is_capability_set(jsonb)'::regprocedure,
    1 / has_table_privilege('agentbooks_loader', 'agentic.agent_sessions', 'insert')::int,
    1 / (not has_table_privilege('service_role', 'agentic.agents', 'delete'))::int,
    1 / (not has_table_privilege('agentbooks_retention', 'agentic.agent_sessions', 'delete'))::int;

select 1 / (count(*) = 3)::int as all_policies
from pg_policies
where schemaname = 'agentic' and tablename in ('users', 'agents', 'agent_sessions');
