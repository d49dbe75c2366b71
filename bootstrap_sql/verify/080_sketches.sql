-- Raises where a function is missing, or is closed to readers of the marts.

select
    'sketches.bounds()'::regprocedure,
    'sketches.bucket(numeric)'::regprocedure,
    'sketches.bucket_value(int)'::regprocedure,
    'sketches.sketch_of(numeric[])'::regprocedure,
    'sketches.sketch(numeric)'::regprocedure,
    'sketches.merged(jsonb[])'::regprocedure,
    'sketches.merge(jsonb)'::regprocedure,
    'sketches.observations(jsonb)'::regprocedure,
    'sketches.percentile(jsonb, numeric)'::regprocedure,
    1 / has_schema_privilege('bi_reader', 'sketches', 'usage')::int,
    1 / has_schema_privilege('agentbooks_refresher', 'sketches', 'usage')::int;
