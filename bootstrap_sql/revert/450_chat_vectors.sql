drop function chat.find_similar_memories(uuid, public.vector, double precision, integer);
alter table chat.chat_messages_v2 drop column embedding;
alter table chat.chat_messages drop column embedding;
alter table chat.agent_memories drop column embeddings;
