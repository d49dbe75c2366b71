-- One row per UTC day and model name recorded on it, with the model that the price book knows by it.
{{ config(
    materialized="incremental",
    publishes="usage_date as day",
    indexes=[
        {"columns": ["usage_date", "model_recorded"], "unique": true},
        {"columns": ["provider", "model"]},
    ],
) }}

with recorded_names as (
    select * from {{ ref("int_models__recorded") }}
),

aliases as (
    select * from {{ ref("model_aliases") }}
),

prices as (
    select * from {{ ref("int_prices__tiered") }}
),

distinct_names as (
    select distinct model_recorded
    from recorded_names
),

models as (
    select
        provider,
        model,
        bool_or(price_list = 'own') as is_own,
        count(*) over (partition by lower(model)) as providers
    from prices
    group by provider, model
),

-- Who has own prices calls the model by their name of it, or leaves out a provider that nobody mistakes.
own_names as (
    select
        distinct_names.model_recorded,
        0 as reading,
        models.provider,
        models.model
    from distinct_names
    inner join models
        on
            lower(distinct_names.model_recorded) = lower(models.provider || '/' || models.model)
            or (
                lower(distinct_names.model_recorded) = lower(models.model) and models.providers = 1
            )
    where models.is_own
),

-- A name can be read as `provider/model`, and if that leads nowhere as a whole.
readings as (
    select
        model_recorded,
        1 as reading,
        'prefix' as match_on,
        split_part(lower(model_recorded), '/', 1) as provider_text,
        substr(lower(model_recorded), strpos(model_recorded, '/') + 1) as model_text
    from distinct_names
    where strpos(model_recorded, '/') > 0
    union all
    select
        model_recorded,
        2 as reading,
        'name' as match_on,
        lower(model_recorded) as provider_text,
        lower(model_recorded) as model_text
    from distinct_names
),

-- Only the first provider that matches is asked: another may charge another price.
providers as (
    select distinct on (readings.model_recorded, readings.reading)
        readings.model_recorded,
        readings.reading,
        readings.model_text,
        aliases.provider
    from readings
    inner join aliases
        on
            readings.match_on = aliases.match_on
            and {{ alias_matches("aliases", "readings.provider_text") }}
    order by readings.model_recorded, readings.reading, aliases.priority
),

-- Snapshots are dated with or without dashes: the price book has them with.
spellings as (
    select
        model_recorded,
        reading,
        provider,
        1 as spelling,
        model_text
    from providers
    union all
    select
        model_recorded,
        reading,
        provider,
        2 as spelling,
        regexp_replace(
            model_text,
            '-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)',
            '-\1-\2-\3',
            'g'
        ) as model_text
    from providers
),

book_names as (
    select
        spellings.model_recorded,
        spellings.reading,
        spellings.spelling,
        aliases.priority,
        aliases.provider,
        aliases.model
    from spellings
    inner join aliases
        on
            aliases.match_on = 'model'
            and spellings.provider = aliases.provider
            and {{ alias_matches("aliases", "spellings.model_text") }}
),

all_names as (
    select
        model_recorded,
        provider,
        model,
        reading,
        spelling,
        priority
    from book_names
    union all
    select
        model_recorded,
        provider,
        model,
        reading,
        null as spelling,
        null as priority
    from own_names
),

matched as (
    select distinct on (model_recorded)
        model_recorded,
        provider,
        model
    from all_names
    order by model_recorded, reading, spelling, priority, provider
)

select
    {{ surrogate_key(["recorded_names.usage_date - date '2000-01-01'", "recorded_names.model_recorded"]) }}
        as models_matched_key,
    recorded_names.usage_date,
    recorded_names.model_recorded,
    matched.provider,
    matched.model
from recorded_names
left join matched on recorded_names.model_recorded = matched.model_recorded
