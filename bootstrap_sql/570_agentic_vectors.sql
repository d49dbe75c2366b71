-- requires: vector
-- Finds knowledge by meaning. Needs pgvector 0.8: without its iterative scan, a search among one
-- agent's or one tenant's rows returns fewer than it should, and says nothing.

set local role agentbooks_owner;

alter table agentic.agent_knowledge
add column embedding public.vector(1536)
constraint agent_knowledge_embedding_has_direction check (public.vector_norm(embedding) > 0);

-- The nearest by cosine, without reading all of them.
create index agent_knowledge_embedding on agentic.agent_knowledge
using hnsw (embedding public.vector_cosine_ops);

comment on column agentic.agent_knowledge.embedding is
'Embedding of content, of any length but zero; null when not computed: search does not find it then.';

-- Planned anew for the agent, the limit and the tenant whom the policy lets through: a plan for any of
-- them reads all knowledge, or passes by all tenants' on its way to the little of one.
create function agentic.find_similar_knowledge(
    p_embedding public.vector,
    p_min_similarity double precision default 0.7,
    p_limit integer default 5,
    p_agent_id uuid default null
)
returns table (
    knowledge_id uuid,
    agent_id uuid,
    knowledge_type varchar(50),
    domain varchar(100),
    content jsonb,
    usage_count integer,
    success_rate numeric,
    similarity double precision
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set hnsw.iterative_scan = strict_order
set plan_cache_mode = force_custom_plan
as $function$
declare
    only_tenant text := case
        when row_security_active('agentic.agent_knowledge') then ops.caller_tenant_id()
    end;
begin
    return query
    with nearest as (
        select
            k.knowledge_id,
            k.agent_id,
            k.knowledge_type,
            k.domain,
            k.content,
            k.usage_count,
            k.success_rate,
            1 - (k.embedding operator(public.<=>) p_embedding) as similarity
        from agentic.agent_knowledge as k
        where k.embedding is not null
            and (p_agent_id is null or k.agent_id = p_agent_id)
            and (only_tenant is null or k.tenant_id = only_tenant)
        order by k.embedding operator(public.<=>) p_embedding
        limit coalesce(p_limit, 5)
    )

    -- At most 1: an embedding of length zero is at distance NaN, which is more than any number.
    select *
    from nearest as n
    where n.similarity between p_min_similarity and 1
    order by n.similarity desc;
end
$function$;

comment on function agentic.find_similar_knowledge (public.vector, double precision, integer, uuid) is
'The p_limit pieces of knowledge nearest to an embedding by cosine similarity (1 is the same, 0 '
'unrelated), best first, of all agents or of one. Approximate. The caller sees what policies allow.';

revoke all on function agentic.find_similar_knowledge (public.vector, double precision, integer, uuid)
from public;
grant execute on function
    agentic.find_similar_knowledge (public.vector, double precision, integer, uuid) to
    agentbooks_refresher, service_role, authenticated;
