drop function agentic.find_similar_knowledge(public.vector, double precision, integer, uuid);
alter table agentic.agent_knowledge drop column embedding;
