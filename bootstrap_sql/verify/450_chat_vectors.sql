-- Raises where a column, an index or a function is missing.

select embeddings from chat.agent_memories
where false;

select embedding from chat.chat_messages
where false;

select
    'chat.idx_memories_embedding'::regclass,
    1 / has_function_privilege(
        'service_role',
        'chat.find_similar_memories(uuid, public.vector, double precision, integer)',
        'execute'
    )::int;
