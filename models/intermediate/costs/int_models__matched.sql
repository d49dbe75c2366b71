-- One row per model name that some source recorded and the price book knows.
{{ config(materialized="table") }}

with calls as (
    select * from {{ ref("int_llm_calls__unioned") }}
),

runs as (
    select * from {{ ref("int_runs__unioned") }}
),

aliases as (
    select * from {{ ref("model_aliases") }}
),

recorded_names as (
    select model_recorded
    from calls
    where model_recorded is not null
    union
    select model_recorded
    from runs
    where model_recorded is not null
),

-- A name can be read as `provider/model`, and if that leads nowhere as a whole.
readings as (
    select
        model_recorded,
        1 as reading,
        'prefix' as match_on,
        split_part(lower(model_recorded), '/', 1) as provider_text,
        substr(lower(model_recorded), strpos(model_recorded, '/') + 1) as model_text
    from recorded_names
    where strpos(model_recorded, '/') > 0
    union all
    select
        model_recorded,
        2 as reading,
        'name' as match_on,
        lower(model_recorded) as provider_text,
        lower(model_recorded) as model_text
    from recorded_names
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
)

select distinct on (spellings.model_recorded)
    spellings.model_recorded,
    aliases.provider,
    aliases.model
from spellings
inner join aliases
    on
        aliases.match_on = 'model'
        and spellings.provider = aliases.provider
        and {{ alias_matches("aliases", "spellings.model_text") }}
order by
    spellings.model_recorded,
    spellings.reading,
    spellings.spelling,
    aliases.priority
