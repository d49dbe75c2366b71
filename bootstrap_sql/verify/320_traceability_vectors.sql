-- Raises where a column, an index or the function is missing.

select prompt_embedding from traceability.success_patterns
where false;

select query_embedding from traceability.agent_routing_decisions
where false;

select
    'traceability.idx_pattern_embedding'::regclass,
    'traceability.idx_routing_embedding'::regclass,
    1 / has_function_privilege(
        'authenticated',
        'traceability.find_similar_patterns(public.vector, double precision, int)',
        'execute'
    )::int;
