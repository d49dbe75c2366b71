-- Raises where a column, the policy or a right is missing.

select
    knowledge_id, agent_id, knowledge_type, domain, content, usage_count, success_count,
    success_rate, created_at, last_used_at, tenant_id, change_id
from agentic.agent_knowledge
where false;

select 1 / has_table_privilege('agentbooks_loader', 'agentic.agent_knowledge', 'insert')::int;

select 1 / (count(*) = 1)::int as has_policy
from pg_policies
where schemaname = 'agentic' and tablename = 'agent_knowledge';
