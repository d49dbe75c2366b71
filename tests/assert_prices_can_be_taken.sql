-- A price that cannot be meant: it would make costs negative, a thousand times too high, or those of another
-- provider, and nobody would know why.
with model_prices as (
    select * from {{ ref("model_prices") }}
),

own_prices as (
    select * from {{ ref("own_prices") }}
),

prices as (
    select
        'model_prices' as seed,
        provider,
        model,
        component,
        valid_from,
        valid_to,
        time_from_utc,
        time_to_utc,
        tier_above_input_tokens,
        usd_per_million,
        null::numeric as discount,
        known_from
    from model_prices
    union all
    select
        'own_prices' as seed,
        provider,
        model,
        component,
        valid_from,
        valid_to,
        time_from_utc,
        time_to_utc,
        tier_above_input_tokens,
        usd_per_million,
        discount,
        known_from
    from own_prices
),

described as (
    select
        *,
        (
            select count(distinct model_prices.provider)
            from model_prices
            where model_prices.model = prices.model
        ) as providers,
        format(
            'the price in %s of %s/%s, component %s, valid from %s, known from %s, ',
            seed,
            coalesce(provider, '?'),
            coalesce(model, '?'),
            coalesce(component, '?'),
            coalesce(valid_from::text, 'ever'),
            coalesce(known_from::text, 'ever')
        ) as the_price
    from prices
),

faults as (
    select
        the_price,
        case
            when model is null then 'names no model: fill in the column model'
            when
                component is null
                or component !~ '^(cached_)?(input|output)(_(audio|image|video|reasoning|citation))?$'
                and component !~ '^cache_write(_5m|_1h)?$'
                and component <> 'request'
                or seed = 'own_prices'
                and component not in (
                    'input', 'cached_input', 'cache_write', 'output', 'output_reasoning', 'request'
                )
                then
                    'is of an unknown unit: the component must be input, cached_input, cache_write, '
                    'output, output_reasoning (USD per million tokens) or request (USD per million calls)'
            when num_nonnulls(usd_per_million, discount) <> 1
                then 'must have either usd_per_million or a discount, and not both'
            when usd_per_million < 0 then 'is negative'
            when usd_per_million > case component when 'request' then 1e8 else 1e5 end
                then
                    format('is absurd: %s USD for a million, ', usd_per_million)
                    || case component
                        when 'request' then 'more than 100 USD for one call'
                        else 'more than ten cents for one token'
                    end
            when discount not between 0 and 1
                then format('has a discount of %s: give the share that is taken off, 0 to 1', discount)
            when valid_to <= valid_from then format('ends on %s, before it begins', valid_to)
            when
                time_to_utc <= coalesce(time_from_utc, '00:00')
                or num_nonnulls(time_from_utc, time_to_utc) = 1
                then
                    'has a time of day that does not end after it begins: '
                    'give both, and two rows where it goes past midnight'
            when tier_above_input_tokens < 0 then 'has a tier above a negative number of tokens'
            when provider is null and providers > 1
                then format('could be that of %s providers: fill in the column provider', providers)
            when provider is null and providers = 0
                then 'is of a model that the book does not know: fill in the column provider'
            when
                discount is not null
                and not exists (
                    select from model_prices
                    where
                        model_prices.model = described.model
                        and model_prices.provider
                        = coalesce(described.provider, model_prices.provider)
                )
                then 'is a discount off a price that the book does not have: give usd_per_million'
        end as reason
    from described
)

select the_price || reason || '.' as fault
from faults
where reason is not null
