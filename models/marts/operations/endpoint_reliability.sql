-- One row per usage_date, tenant, service, endpoint and method: how its calls went.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "endpoint_reliability_key"], "unique": true}],
) }}
{%- set grain = ["usage_date", "tenant_key", "service", "endpoint", "method"] %}
{%- set counts = [
    "calls", "successes", "client_errors", "server_errors", "unanswered", "retried_calls",
    "retried_successes", "retries", "scored_calls",
] %}

with endpoint_calls as (
    select
        *,
        (started_at at time zone 'UTC')::date as usage_date
    from {{ ref("stg_traceability__endpoint_calls") }}
    where {{ in_dirty("started_at") }}
),

-- Counted by bucket first, so that no distribution is ever held value by value.
buckets as (
    select
        {{ grain | join(",\n        ") }},
        sketches.bucket(duration_ms) as bucket,
        count(*) as calls,
        count(*) filter (where is_success) as successes,
        count(*) filter (where status_code between 400 and 499) as client_errors,
        count(*) filter (where status_code >= 500) as server_errors,
        count(*) filter (where not is_success and status_code is null) as unanswered,
        count(*) filter (where retry_count > 0) as retried_calls,
        count(*) filter (where retry_count > 0 and is_success) as retried_successes,
        coalesce(sum(retry_count), 0) as retries,
        count(quality_score) as scored_calls,
        sum(quality_score) as quality_score
    from endpoint_calls
    group by {{ grain | join(", ") }}, sketches.bucket(duration_ms)
),

daily as (
    select
        {{ grain | join(",\n        ") }},
        {%- for column in counts %}
        sum({{ column }})::bigint as {{ column }},
        {%- endfor %}
        sum(quality_score) as quality_score,
        coalesce(jsonb_object_agg(bucket, calls) filter (where bucket is not null), '{}')
            as duration_sketch
    from buckets
    group by {{ grain | join(", ") }}
),

failures as (
    select
        {{ grain | join(",\n        ") }},
        coalesce(error_type, 'unclassified') as error_type,
        count(*) as errors
    from endpoint_calls
    where not is_success
    group by {{ grain | join(", ") }}, coalesce(error_type, 'unclassified')
),

error_types as (
    select
        {{ grain | join(",\n        ") }},
        jsonb_object_agg(error_type, errors) as error_types
    from failures
    group by {{ grain | join(", ") }}
)

select
    {{ surrogate_key([
        "daily.usage_date - date '2000-01-01'",
        "daily.tenant_key",
        "daily.service",
        "daily.endpoint",
        "daily.method",
    ]) }} as endpoint_reliability_key,
    daily.usage_date,
    daily.tenant_key,
    daily.service,
    daily.endpoint,
    daily.method,
    daily.calls,
    daily.successes,
    {{ ratio("daily.successes::numeric", "daily.calls") }} as success_rate,
    {{ wilson_bound("daily.successes", "daily.calls", "low") }} as interval_low,
    {{ wilson_bound("daily.successes", "daily.calls", "high") }} as interval_high,
    daily.client_errors,
    daily.server_errors,
    daily.unanswered,
    daily.retried_calls,
    daily.retried_successes,
    daily.retries,
    coalesce(error_types.error_types, '{}') as error_types,
    daily.scored_calls,
    {{ ratio("daily.quality_score", "daily.scored_calls") }} as mean_quality_score,
    sketches.percentile(daily.duration_sketch, 0.5) as p50_ms,
    sketches.percentile(daily.duration_sketch, 0.95) as p95_ms,
    daily.duration_sketch
from daily
left join error_types
    on
        daily.usage_date = error_types.usage_date
        and daily.tenant_key = error_types.tenant_key
        and daily.service = error_types.service
        and daily.endpoint = error_types.endpoint
        and daily.method = error_types.method
