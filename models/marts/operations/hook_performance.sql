-- One row per usage_date, tenant, hook_type, hook_name and tool: what its hooks took, blocked and found.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "hook_performance_key"], "unique": true}],
) }}
{%- set grain = ["usage_date", "tenant_key", "hook_type", "hook_name", "tool_name"] %}
{%- set counts = [
    "executions", "finished", "successes", "blocks", "rag_queries", "quality_checks", "scored_checks"
] %}

with hook_executions as (
    select
        *,
        (started_at at time zone 'UTC')::date as usage_date
    from {{ ref("stg_traceability__hook_executions") }}
    where {{ in_dirty("started_at") }}
),

-- Counted by bucket first, so that no distribution is ever held value by value.
buckets as (
    select
        {{ grain | join(",\n        ") }},
        sketches.bucket(duration_ms) as bucket,
        count(*) as executions,
        count(*) filter (where status in ('succeeded', 'failed')) as finished,
        count(*) filter (where status = 'succeeded') as successes,
        count(*) filter (where is_block) as blocks,
        count(*) filter (where has_rag_query) as rag_queries,
        count(*) filter (where has_quality_check) as quality_checks,
        count(quality_score) as scored_checks,
        sum(quality_score) as quality_score,
        sum(violations_found) as violations_found,
        sum(corrections_applied) as corrections_applied
    from hook_executions
    group by {{ grain | join(", ") }}, sketches.bucket(duration_ms)
),

daily as (
    select
        {{ grain | join(",\n        ") }},
        {%- for column in counts %}
        sum({{ column }})::bigint as {{ column }},
        {%- endfor %}
        sum(quality_score) as quality_score,
        trim_scale(sum(violations_found)) as violations_found,
        trim_scale(sum(corrections_applied)) as corrections_applied,
        coalesce(jsonb_object_agg(bucket, executions) filter (where bucket is not null), '{}')
            as duration_sketch
    from buckets
    group by {{ grain | join(", ") }}
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'", "tenant_key", "hook_type", "hook_name", "tool_name"
    ]) }} as hook_performance_key,
    {{ grain | join(",\n    ") }},
    executions,
    finished,
    successes,
    {{ ratio("successes::numeric", "finished") }} as success_rate,
    {{ wilson_bound("successes", "finished", "low") }} as interval_low,
    {{ wilson_bound("successes", "finished", "high") }} as interval_high,
    blocks,
    rag_queries,
    quality_checks,
    scored_checks,
    {{ ratio("quality_score", "scored_checks") }} as mean_quality_score,
    violations_found,
    corrections_applied,
    sketches.percentile(duration_sketch, 0.5) as p50_ms,
    sketches.percentile(duration_sketch, 0.95) as p95_ms,
    duration_sketch
from daily
