-- A duration that its start and end contradict: latencies would follow whichever is wrong. Warns, for
-- writers measure with two clocks; up to a millisecond is rounding.
{{ config(severity="warn") }}

with spans as (
    select * from {{ ref("stg_observability__spans") }}
),

raaf_spans as (
    select * from {{ ref("stg_raaf__spans") }}
),

all_spans as (
    select
        'observability' as source_system,
        span_id::text as span_id,
        started_at,
        ended_at,
        duration_ms
    from spans
    union all
    select
        'raaf' as source_system,
        span_id,
        started_at,
        ended_at,
        duration_ms
    from raaf_spans
)

select *
from all_spans
where abs(duration_ms - extract(epoch from ended_at - started_at) * 1000) > 1
