-- Raises where a column, an index, the view or a function is missing.

select
    id, agent_id, memory_type, content, importance, decay_rate, access_count, related_memories,
    source_message_id, last_accessed, created_at, expires_at, tenant_id, change_id
from chat.agent_memories
where false;

select
    id, agent_id, memory_type, content, importance, current_importance, access_count,
    related_memories, source_message_id, last_accessed, created_at, expires_at, tenant_id
from chat.agent_memories_current
where false;

select
    id, agent_id, source_memories, consolidated_memory_id, consolidation_type, tokens_saved,
    created_at, tenant_id, change_id
from chat.memory_consolidations
where false;

select
    'chat.idx_memories_agent_type'::regclass,
    'chat.idx_memories_importance'::regclass,
    'chat.idx_memories_content_gin'::regclass,
    'chat.idx_memories_expires'::regclass,
    'chat.idx_memories_source_message'::regclass,
    'chat.idx_memories_change_id'::regclass,
    'chat.idx_consolidations_agent'::regclass,
    'chat.idx_consolidations_memory'::regclass,
    'chat.idx_consolidations_sources'::regclass,
    'chat.is_memory_content(text, jsonb)'::regprocedure;
