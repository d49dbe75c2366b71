-- A trace that claims another cost than its spans: one of them was lost or counted twice. Warns, for
-- the totals are the engine's own, summed in binary floating point, and no mart reads them here.
{{ config(severity="warn") }}

with traces as (
    select * from {{ ref("stg_observability__traces") }}
),

spans as (
    select * from {{ ref("stg_observability__spans") }}
),

span_costs as (
    select
        trace_id,
        sum(reported_cost_usd) as spans_cost_usd
    from spans
    group by trace_id
)

select
    traces.trace_id,
    traces.cost_recorded_usd,
    traces.fees_usd,
    span_costs.spans_cost_usd
from traces
inner join span_costs on traces.trace_id = span_costs.trace_id
where
    traces.status = 'succeeded'
    and traces.trace_id::text not in (select departed_keys.key from ops.departed_keys)
    and abs(
        traces.cost_recorded_usd - coalesce(traces.fees_usd, 0) - span_costs.spans_cost_usd
    ) > 0.000001
