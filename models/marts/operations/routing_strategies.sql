-- One row per tenant and routing_strategy: how it did, also against other strategies for the same agents.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["routing_strategies_key"], "unique": true}],
) }}

with daily as (
    select * from {{ ref("routing_accuracy") }}
),

strategies as (
    select
        tenant_key,
        routing_strategy,
        sum(decisions)::bigint as decisions,
        sum(overruled)::bigint as overruled,
        sum(decisions) filter (where is_cache_hit)::bigint as cache_hits,
        sum(judged_decisions)::bigint as judged_decisions,
        sum(successes)::bigint as successes,
        coalesce(sum(judged_decisions) filter (where is_cache_hit), 0)::bigint
            as judged_cache_hits,
        coalesce(sum(successes) filter (where is_cache_hit), 0)::bigint as cache_hit_successes,
        sketches.merge(decision_sketch) as decision_sketch
    from daily
    group by tenant_key, routing_strategy
),

by_agent as (
    select
        tenant_key,
        routing_strategy,
        agent_name,
        sum(judged_decisions) as judged,
        sum(successes) as successes
    from daily
    group by tenant_key, routing_strategy, agent_name
),

beside_others as (
    select
        *,
        sum(judged) over of_agent - judged as others,
        sum(successes) over of_agent - successes as other_successes
    from by_agent
    window of_agent as (partition by tenant_key, agent_name)
),

-- Mantel and Haenszel's difference of rates over agents, with Sato's variance: agents of whom either side
-- has few decisions weigh little.
weighed as (
    select
        tenant_key,
        routing_strategy,
        sum(judged)::bigint as compared_decisions,
        sum(judged * others / (judged + others)) as weight,
        sum((successes * others - other_successes * judged) / (judged + others)) as difference,
        sum(
            (
                judged * judged * other_successes
                - others * others * successes
                + judged * others * (others - judged) / 2
            ) / ((judged + others) * (judged + others))
        ) as balance,
        sum(
            (successes * (others - other_successes) + other_successes * (judged - successes))
            / (2 * (judged + others))
        ) as spread
    from beside_others
    where judged > 0 and others > 0
    group by tenant_key, routing_strategy
),

compared as (
    select
        tenant_key,
        routing_strategy,
        compared_decisions,
        difference / weight as advantage,
        1.959964 * sqrt(
            greatest(0, (difference / weight * balance + spread) / (weight * weight))
        ) as reach
    from weighed
)

select
    {{ surrogate_key(["strategies.tenant_key", "strategies.routing_strategy"]) }}
        as routing_strategies_key,
    strategies.tenant_key,
    strategies.routing_strategy,
    strategies.decisions,
    strategies.overruled,
    strategies.judged_decisions,
    strategies.successes,
    {{ ratio("strategies.successes::numeric", "strategies.judged_decisions") }} as success_rate,
    {{ wilson_bound("strategies.successes", "strategies.judged_decisions", "low") }} as interval_low,
    {{ wilson_bound("strategies.successes", "strategies.judged_decisions", "high") }} as interval_high,
    coalesce(compared.compared_decisions, 0) as compared_decisions,
    round(compared.advantage, 12) as advantage,
    round(compared.advantage - compared.reach, 12) as advantage_low,
    round(compared.advantage + compared.reach, 12) as advantage_high,
    coalesce(strategies.cache_hits, 0) as cache_hits,
    strategies.judged_cache_hits,
    strategies.cache_hit_successes,
    {{ ratio("strategies.cache_hit_successes::numeric", "strategies.judged_cache_hits") }}
        as cache_hit_success_rate,
    sketches.percentile(strategies.decision_sketch, 0.5) as p50_decision_ms,
    sketches.percentile(strategies.decision_sketch, 0.95) as p95_decision_ms
from strategies
left join compared
    on
        strategies.tenant_key = compared.tenant_key
        and strategies.routing_strategy = compared.routing_strategy
