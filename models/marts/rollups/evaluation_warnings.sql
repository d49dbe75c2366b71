-- One row per usage_date, tenant, workflow, span_type and warning.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "evaluation_warnings_key"], "unique": true}],
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
        thresholds.warning,
        thresholds.warns_below,
        thresholds.warns_above,
        case thresholds.measure
            when 'duration_ms' then spans.duration_ms
            when 'reported_cost_usd' then spans.reported_cost_usd
            when 'tokens_per_second' then spans.output_tokens * 1000 / nullif(spans.duration_ms, 0)
            when 'api_calls_remaining' then spans.api_calls_remaining
            when 'mean_relevance' then spans.mean_relevance
            when 'results' then spans.results
            when 'score_improvement' then spans.score_improvement
            when 'chunk_size' then spans.chunk_size
            when 'overlap_of_large_chunks'
                then case when spans.chunk_size >= 512 then spans.chunk_overlap end
        end as measured
    from spans
    inner join thresholds on spans.span_type = thresholds.span_type
),

-- By trace first, so that a trace is looked up once and not for each of its spans.
warned as (
    select
        (started_at at time zone 'UTC')::date as usage_date,
        trace_id,
        span_type,
        warning,
        -- A chunk may be too large and without overlap: one warning of its quality.
        count(distinct span_id) as spans
    from measured
    where measured < warns_below or measured > warns_above
    group by usage_date, trace_id, span_type, warning
),

warnings as (
    select
        warned.usage_date,
        traces.tenant_key,
        traces.workflow,
        warned.span_type,
        warned.warning,
        sum(warned.spans)::bigint as spans
    from warned
    inner join traces on warned.trace_id = traces.trace_id
    group by warned.usage_date, traces.tenant_key, traces.workflow, warned.span_type, warned.warning
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
from warnings
