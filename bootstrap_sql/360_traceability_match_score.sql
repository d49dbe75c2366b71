-- How well a learned pattern fits a prompt: one number of five parts, the same wherever it is computed.
-- Without embeddings a writer may still bring a similarity of its own.

set local role agentbooks_owner;

create function traceability.match_score(
    p_similarity double precision,
    p_keywords text[],
    p_pattern_keywords text[],
    p_is_same_intent boolean,
    p_is_same_context boolean,
    p_success_rate numeric
)
returns numeric
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
return round(
    0.40 * greatest(least(coalesce(p_similarity, 0), 1), 0)::numeric
    + 0.20 * coalesce(
        (
            select count(*)::numeric
            from (
                select lower(k) from unnest(p_keywords) as k
                intersect
                select lower(k) from unnest(p_pattern_keywords) as k
            ) as common
        )
        / nullif(greatest(
            (select count(distinct lower(k)) from unnest(p_keywords) as k),
            (select count(distinct lower(k)) from unnest(p_pattern_keywords) as k)
        ), 0),
        0
    )
    + 0.20 * case when p_is_same_intent then 1 else 0.3 end
    + 0.10 * case when p_is_same_context then 1 else 0.5 end
    + 0.10 * coalesce(p_success_rate, 0.5),
    4
);

comment on function traceability.match_score(
    double precision, text[], text[], boolean, boolean, numeric
) is
'Match of a prompt and a pattern, 0 to 1: 0.40 similarity + 0.20 keywords in common by the larger set + '
'0.20 intent (another: 0.3) + 0.10 context (another: 0.5) + 0.10 success rate. Unknown similarity or '
'keywords count 0, unknown intent and context as another, an unused pattern''s success as 0.5.';

revoke all on function traceability.match_score(
    double precision, text[], text[], boolean, boolean, numeric
) from public;
grant execute on function traceability.match_score(
    double precision, text[], text[], boolean, boolean, numeric
) to agentbooks_loader, agentbooks_refresher, service_role, authenticated;
