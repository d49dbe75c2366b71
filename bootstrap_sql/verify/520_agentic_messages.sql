-- Raises where a column, a partition or a right is missing.

select
    message_id, session_id, role, content, message_type, parent_message_id, created_at, tokens_used,
    model_used, metadata, tenant_id, change_id
from agentic.conversation_history
where false;

select
    'agentic.conversation_history_default'::regclass,
    1 / has_table_privilege('agentbooks_loader', 'agentic.conversation_history', 'insert')::int,
    1 / (
        not has_table_privilege('agentbooks_loader', 'agentic.conversation_history_default', 'insert')
    )::int;
