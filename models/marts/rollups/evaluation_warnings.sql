-- One row per usage_date, tenant, workflow, span_type and warning.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["evaluation_warnings_key"], "unique": true}, {"columns": ["usage_date"]}],
) }}

{{ dirtied_by(["observability.traces"], days_of_trace_spans()) }}

with spans as (
    select * from {{ ref("stg_observability__spans") }}
    where {{ in_dirty("started_at") }}
),

traces as (
    select * from {{ ref("stg_observability__traces") }}
),

thresholds as (
    select * from {{ ref("evaluation_thresholds") }}
),

measured as (
    select
        spans.span_id,
        spans.trace_id,
        spans.span_type,
        spans.started_at,
        measures.measure,
        measures.measured
    from spans
    cross join
        lateral (
            values
            ('duration_ms', spans.duration_ms),
            ('reported_cost_usd', spans.reported_cost_usd),
            ('tokens_per_second', spans.output_tokens * 1000 / nullif(spans.duration_ms, 0)),
            ('api_calls_remaining', spans.api_calls_remaining),
            ('mean_relevance', spans.mean_relevance),
            ('results', spans.results),
            ('score_improvement', spans.score_improvement),
            ('chunk_size', spans.chunk_size),
            ('overlap_of_large_chunks', case when spans.chunk_size >= 512 then spans.chunk_overlap end)
        ) as measures (measure, measured)
    where measures.measured is not null
),

warned as (
    select
        (measured.started_at at time zone 'UTC')::date as usage_date,
        traces.tenant_key,
        traces.workflow,
        measured.span_type,
        thresholds.warning,
        -- A chunk may be too large and without overlap: one warning of its quality.
        count(distinct measured.span_id) as spans
    from measured
    inner join thresholds
        on
            measured.span_type = thresholds.span_type
            and measured.measure = thresholds.measure
            and (measured.measured < thresholds.warns_below or measured.measured > thresholds.warns_above)
    inner join traces on measured.trace_id = traces.trace_id
    group by usage_date, traces.tenant_key, traces.workflow, measured.span_type, thresholds.warning
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'", "tenant_key", "workflow", "span_type", "warning"
    ]) }} as evaluation_warnings_key,
    usage_date,
    tenant_key,
    workflow,
    span_type,
    warning,
    spans
from warned
