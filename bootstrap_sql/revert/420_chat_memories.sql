drop table chat.memory_consolidations;
drop view chat.agent_memories_current;
drop table chat.agent_memories;
drop function chat.is_memory_content(text, jsonb);
