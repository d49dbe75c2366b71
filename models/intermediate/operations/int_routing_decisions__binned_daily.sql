-- One row per UTC day, tenant, kind of confidence and bin of it: judged decisions of the router.
{{ config(
    materialized="incremental",
    period="routed_date",
    indexes=[{"columns": ["routed_date", "binned_daily_key"], "unique": true}],
) }}

{{ dirtied_by(
    ["traceability.agent_routing_decisions", "traceability.execution_traces"],
    days_of_routing_decisions(),
) }}

with decisions as (
    select * from {{ ref("int_routing_decisions__judged") }}
    where {{ in_dirty("routed_at") }}
),

judgements as (
    select
        (decisions.routed_at at time zone 'UTC')::date as routed_date,
        decisions.tenant_key,
        confidences.confidence_kind,
        confidences.confidence,
        decisions.is_success::int as outcome,
        -- Ten bins of equal width; a confidence of 1 is in the last.
        least(floor(confidences.confidence * 10), 9)::int as bin
    from decisions
    cross join
        lateral (
            values
            ('score', decisions.confidence_score),
            ('trigger', decisions.confidence_trigger),
            ('context', decisions.confidence_context),
            ('capability', decisions.confidence_capability),
            ('historical', decisions.confidence_historical)
        ) as confidences (confidence_kind, confidence)
    where decisions.is_success is not null and confidences.confidence is not null
),

counted as (
    select
        routed_date,
        tenant_key,
        confidence_kind,
        bin,
        count(*) as decisions,
        sum(outcome)::bigint as successes,
        trim_scale(sum(confidence)) as confidence,
        trim_scale(sum((confidence - outcome) * (confidence - outcome))) as squared_error
    from judgements
    group by routed_date, tenant_key, confidence_kind, bin
)

select
    {{ surrogate_key(["routed_date - date '2000-01-01'", "tenant_key", "confidence_kind", "bin"]) }}
        as binned_daily_key,
    *
from counted
