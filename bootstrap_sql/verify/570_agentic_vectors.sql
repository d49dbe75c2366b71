-- Raises where the column or the function is missing, or pgvector is too old for the function.

select embedding
from agentic.agent_knowledge
where false;

select *
from agentic.find_similar_knowledge(array_fill(1, array[1536])::public.vector, p_limit => 1);
