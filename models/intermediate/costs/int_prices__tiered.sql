-- One row per price of a component in an edition, with the period, time of day and size of call it holds for.
with model_prices as (
    select * from {{ ref("model_prices") }}
),

own_prices as (
    select * from {{ ref("own_prices") }}
),

models_of_one_provider as (
    select
        model,
        min(provider) as provider
    from model_prices
    group by model
    having count(distinct provider) = 1
),

prices as (
    select
        'book' as price_list,
        provider,
        model,
        component,
        known_from,
        valid_from,
        valid_to,
        time_from_utc,
        time_to_utc,
        tier_above_input_tokens,
        usd_per_million,
        null::numeric as discount
    from model_prices
    union all
    select
        'own' as price_list,
        coalesce(own_prices.provider, models_of_one_provider.provider) as provider,
        own_prices.model,
        own_prices.component,
        own_prices.known_from,
        own_prices.valid_from,
        own_prices.valid_to,
        own_prices.time_from_utc,
        own_prices.time_to_utc,
        own_prices.tier_above_input_tokens,
        own_prices.usd_per_million,
        own_prices.discount
    from own_prices
    left join models_of_one_provider on own_prices.model = models_of_one_provider.model
)

select
    price_list,
    provider,
    model,
    component,
    coalesce(known_from, '-infinity') as known_from,
    coalesce(valid_from, '-infinity') as valid_from,
    coalesce(valid_to, 'infinity') as valid_to,
    coalesce(time_from_utc, '00:00') as time_from_utc,
    coalesce(time_to_utc, '24:00') as time_to_utc,
    -- A tier's price is that of the whole call once its input tokens exceed the tier's bound.
    case when tier_above_input_tokens > 0 then tier_above_input_tokens + 1 else 0 end
        as input_tokens_from,
    coalesce(
        lead(tier_above_input_tokens) over (
            partition by
                price_list, provider, model, component, known_from, valid_from, time_from_utc
            order by tier_above_input_tokens nulls first
        ) + 1,
        9223372036854775807
    ) as input_tokens_to,
    trim_scale(usd_per_million) as usd_per_million,
    trim_scale(discount) as discount
from prices
where provider is not null
