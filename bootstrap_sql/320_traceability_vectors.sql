-- requires: vector
-- Similarity search over patterns and routed queries. An embedding has 1536 numbers; those of
-- another model need a column of their own, as distances between models mean nothing.

set local role agentbooks_owner;

alter table traceability.success_patterns add column prompt_embedding public.vector(1536);

comment on column traceability.success_patterns.prompt_embedding is
'Embedding of the prompt, 1536 numbers; null: similarity search does not find the pattern.';

alter table traceability.agent_routing_decisions add column query_embedding public.vector(1536);

comment on column traceability.agent_routing_decisions.query_embedding is
'Embedding of query_text, 1536 numbers; null if not computed.';

-- Patterns like a prompt. Unlike lists, a graph may be built before there are rows.
create index idx_pattern_embedding on traceability.success_patterns
using hnsw (prompt_embedding public.vector_cosine_ops) where is_active;
-- Earlier decisions on queries like this one.
create index idx_routing_embedding on traceability.agent_routing_decisions
using hnsw (query_embedding public.vector_cosine_ops);

-- The index knows distance alone. So eight times as many patterns as are wanted are taken from it, and
-- the best of those are chosen by distance and success. Iteration goes on past patterns of other
-- tenants; for a tenant with few of them that is far, and a planner that is told whom the policy lets
-- through reads those few instead. So each call is planned anew, for its tenant and limit.
create function traceability.find_similar_patterns(
    p_embedding public.vector,
    p_min_similarity double precision default 0.70,
    p_limit int default 5
)
returns table (
    pattern_id uuid,
    similarity double precision,
    success_rate numeric,
    total_usage_count int
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set hnsw.ef_search = 100
set hnsw.iterative_scan = strict_order
set plan_cache_mode = force_custom_plan
as $function$
declare
    only_tenant text := case
        when row_security_active('traceability.success_patterns') then ops.caller_tenant_id()
    end;
begin
    return query
    with nearest as materialized (
        select
            p.id,
            p.success_rate,
            p.total_usage_count,
            1 - (p.prompt_embedding operator(public.<=>) p_embedding) as similarity
        from traceability.success_patterns as p
        where p.is_active and (only_tenant is null or p.tenant_id = only_tenant)
        order by p.prompt_embedding operator(public.<=>) p_embedding
        limit least(8 * p_limit::bigint, 100)
    )
    select n.id, n.similarity, n.success_rate, n.total_usage_count
    from nearest as n
    where n.similarity between p_min_similarity and 1.000001
    order by n.similarity * n.success_rate desc nulls last, n.similarity desc, n.id
    limit p_limit;
end
$function$;

comment on function traceability.find_similar_patterns (public.vector, double precision, int) is
'Active patterns whose prompt is like the given one (cosine similarity, at most 1), best first by '
'similarity x success rate, unused ones last. Chooses among the 8 x p_limit nearest, at most 100. '
'p_limit null: all of 100.';

revoke all on function traceability.find_similar_patterns (public.vector, double precision, int)
from public;
grant execute on function traceability.find_similar_patterns (public.vector, double precision, int)
to agentbooks_refresher, service_role, authenticated;
