-- requires: vector
-- Finds memories by meaning. Needs pgvector 0.8: without its iterative scan, a search among one
-- agent's memories returns fewer than it should, and says nothing.

set local role agentbooks_owner;

alter table chat.agent_memories
add column embeddings public.vector(1536)
constraint agent_memories_embeddings_has_direction check (public.vector_norm(embeddings) > 0);

comment on column chat.agent_memories.embeddings is
'One embedding of content, despite its name, of any length but zero; null if not computed: search '
'does not find the memory then.';

-- The nearest by cosine, without reading all of them. Unlike lists, a graph may be built on no rows.
create index idx_memories_embedding on chat.agent_memories
using hnsw (embeddings public.vector_cosine_ops);

-- Nothing searches messages, so that no index slows their inserts.
alter table chat.chat_messages add column embedding public.vector(1536);
alter table chat.chat_messages_v2 add column embedding public.vector(1536);

grant insert (embedding) on chat.chat_messages, chat.chat_messages_v2 to authenticated;

comment on column chat.chat_messages.embedding is 'Embedding of content; null if not computed.';
comment on column chat.chat_messages_v2.embedding is 'Embedding of content; null if not computed.';

-- Planned anew for the agent and the limit of each call: a plan for any of them may not use the graph.
create function chat.find_similar_memories(
    p_agent_id uuid,
    p_embedding public.vector,
    p_min_similarity double precision default 0.7,
    p_limit integer default 5
)
returns table (
    memory_id uuid,
    memory_type varchar(20),
    content jsonb,
    current_importance numeric,
    similarity double precision
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set hnsw.iterative_scan = strict_order
set plan_cache_mode = force_custom_plan
as $function$
begin
    return query
    with nearest as materialized (
        select
            m.id,
            1 - (m.embeddings operator(public.<=>) p_embedding) as similarity
        from chat.agent_memories as m
        where m.agent_id = p_agent_id
            and m.embeddings is not null
            and (m.expires_at is null or m.expires_at > now())
        order by m.embeddings operator(public.<=>) p_embedding
        limit coalesce(p_limit, 5)
    )
    -- An embedding of length zero is at distance NaN, which is more than any number.
    select c.id, c.memory_type, c.content, c.current_importance, n.similarity
    from nearest as n
    inner join chat.agent_memories_current as c on c.id = n.id
    where n.similarity between p_min_similarity and 1.000001
    order by n.similarity desc, c.id;
end
$function$;

comment on function chat.find_similar_memories (uuid, public.vector, double precision, integer) is
'The p_limit memories of an agent nearest to an embedding by cosine similarity (1 is the same, 0 '
'unrelated), best first, without expired ones. Approximate. The caller sees what policies allow.';

revoke all on function chat.find_similar_memories (uuid, public.vector, double precision, integer)
from public;
grant execute on function
    chat.find_similar_memories (uuid, public.vector, double precision, integer) to
    agentbooks_refresher, service_role, authenticated;
