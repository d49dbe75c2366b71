-- Raises where a trigger is missing; those of partitions are copies.

select 1 / (count(*) = 4)::int as every_trigger
from pg_trigger
where tgname in (
    'raaf_tracing_traces_updated', 'raaf_tracing_spans_updated', 'raaf_tracing_spans_named',
    'raaf_tracing_span_replays_updated'
)
and tgparentid = 0
and not tgisinternal;
