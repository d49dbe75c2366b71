-- Raises where the key, a policy or a trigger is missing.

select
    'agentic.require_next_version()'::regprocedure,
    'agentic.set_session_end()'::regprocedure,
    'agentic.refuse_after_session_end()'::regprocedure;

select 1 / (count(*) = 1)::int as has_key
from pg_constraint
where conrelid = 'agentic.agent_sessions'::regclass
    and conname = 'agent_sessions_user_id_fkey'
    and confdeltype = 'n';

select 1 / (count(*) = 3)::int as all_policies
from pg_policies
where schemaname = 'agentic'
    and tablename in ('agent_decisions', 'trust_metrics', 'conversation_history');

select 1 / (count(*) = 15)::int as all_triggers
from pg_trigger
where not tgisinternal
    and tgparentid = 0
    and tgenabled = 'O'
    and tgfoid <> 'ops.mark_departed_rows()'::regprocedure
    and tgrelid::regclass::text in (
        'agentic.users', 'agentic.agents', 'agentic.agent_sessions', 'agentic.agent_decisions',
        'agentic.trust_metrics', 'agentic.conversation_history', 'agentic.agent_knowledge',
        'agentic.agent_audit_log'
    );
