-- requires: vector
-- The patterns to replay or to suggest for a prompt, by match score.

set local role agentbooks_owner;

-- All other parts together are worth 0.60, so that no pattern below a similarity of 0.25 comes to 0.70.
create function traceability.match_patterns(
    p_embedding public.vector,
    p_keywords text[] default '{}',
    p_intent text default null,
    p_context jsonb default '{}',
    p_limit int default 5
)
returns table (
    pattern_id uuid,
    match_score numeric,
    similarity double precision,
    success_rate numeric,
    advice text
)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
    with scored as (
        select
            p.id,
            traceability.match_score(
                s.similarity,
                p_keywords,
                p.keywords,
                p.intent_classification = p_intent,
                p.context <> '{}' and p_context @> p.context,
                p.success_rate
            ) as score,
            s.similarity,
            p.success_rate
        from traceability.find_similar_patterns(p_embedding, 0.25, null) as s
        join traceability.success_patterns as p on p.id = s.pattern_id
    )

    select
        c.id,
        c.score,
        c.similarity,
        c.success_rate,
        case
            when c.score >= 0.85 then 'replay'
            when c.score >= 0.75 then 'suggest'
            else 'candidate'
        end
    from scored as c
    where c.score >= 0.70
    order by c.score desc, c.similarity desc, c.id
    limit p_limit;
end;

comment on function traceability.match_patterns(public.vector, text[], text, jsonb, int) is
'Active patterns that match a prompt by at least 0.70, best first, of the 100 most similar: replay from '
'0.85, suggest from 0.75, else candidate. A pattern''s context matches if the prompt''s contains it.';

revoke all on function traceability.match_patterns(public.vector, text[], text, jsonb, int) from public;
grant execute on function traceability.match_patterns(public.vector, text[], text, jsonb, int)
to agentbooks_refresher, service_role, authenticated;
