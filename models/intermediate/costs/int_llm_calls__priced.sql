-- One row per LLM call, with the cost its source reported and the one the price book gives.
with calls as (
    select
        *,
        (called_at at time zone 'UTC')::date as called_on,
        (called_at at time zone 'UTC')::time as called_at_time
    from {{ ref("int_llm_calls__unioned") }}
),

models as (
    select * from {{ ref("int_models__matched") }}
),

editions as (
    select * from {{ ref("int_prices__editions") }}
),

prices as not materialized (
    select * from {{ ref("int_prices__combined") }}
),

-- Without both counts the cost is unknown, not zero: such a call finds no price.
priced as (
    select
        calls.llm_call_id,
        calls.source_system,
        calls.run_id,
        calls.called_at,
        calls.payer,
        calls.model_recorded,
        models.provider,
        models.model,
        calls.duration_ms,
        calls.input_tokens,
        greatest(
            calls.input_tokens
            - coalesce(calls.cached_input_tokens, 0)
            - coalesce(calls.cache_write_tokens, 0),
            0
        ) as fresh_input_tokens,
        calls.cached_input_tokens,
        calls.cache_write_tokens,
        calls.output_tokens,
        case
            when calls.reasoning_tokens is not null
                then least(calls.reasoning_tokens, calls.output_tokens)
        end as reasoning_tokens,
        calls.unsplit_tokens,
        calls.reported_cost_usd,
        prices.known_from as price_known_from,
        prices.input_tokens_from,
        prices.input_tokens_to,
        prices.time_from_utc,
        prices.time_to_utc,
        prices.input_price,
        prices.cached_input_price,
        prices.cache_write_price,
        prices.output_price,
        prices.reasoning_price,
        prices.request_price
    from calls
    left join models
        on calls.model_recorded = models.model_recorded and calls.called_on = models.usage_date
    left join editions
        on
            models.provider = editions.provider
            and models.model = editions.model
            and calls.called_at >= editions.known_from
            and calls.called_at < editions.known_to
    left join prices
        on
            editions.provider = prices.provider
            and editions.model = prices.model
            and editions.known_from = prices.known_from
            and calls.called_on >= prices.valid_from
            and calls.called_on < prices.valid_to
            and calls.called_at_time >= prices.time_from_utc
            and calls.called_at_time < prices.time_to_utc
            and calls.input_tokens >= prices.input_tokens_from
            and calls.input_tokens < prices.input_tokens_to
            and calls.output_tokens is not null
),

-- The limits keep each cost from being computed again wherever it is used.
computed as (
    select
        priced.*,
        components.*,
        totals.computed_cost_usd
    from priced
    left join lateral ( -- noqa: structure.subquery
        select
            {%- for name, cost in component_costs().items() %}
            {{ cost }} as {{ name }},
            {%- endfor %}
            true as is_component
        limit 1 -- noqa: ambiguous.order_by_limit
    ) as components on true
    left join lateral ( -- noqa: structure.subquery
        select {{ component_costs().keys() | join(" + ") }} as computed_cost_usd
        limit 1 -- noqa: ambiguous.order_by_limit
    ) as totals on true
)

select
    llm_call_id,
    source_system,
    run_id,
    called_at,
    payer,
    model_recorded,
    provider,
    model,
    price_known_from,
    input_tokens_from,
    input_tokens_to,
    time_from_utc,
    time_to_utc,
    duration_ms,
    input_tokens,
    fresh_input_tokens,
    cached_input_tokens,
    cache_write_tokens,
    output_tokens,
    reasoning_tokens,
    unsplit_tokens,
    case
        when reported_cost_usd is not null then 'reported'
        when computed_cost_usd is not null then 'computed'
        else 'unavailable'
    end as cost_basis,
    reported_cost_usd,
    input_cost_usd,
    cached_input_cost_usd,
    cache_write_cost_usd,
    output_cost_usd,
    reasoning_cost_usd,
    request_cost_usd,
    computed_cost_usd,
    coalesce(reported_cost_usd, computed_cost_usd) as cost_usd,
    {{ explained_difference() }} as difference
from computed
