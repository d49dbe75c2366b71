-- One row per UTC day and model name that some source recorded on it and the price book knows.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "model_recorded"], "unique": true}],
) }}

{{ dirtied_by(["agentic.agents"], days_of_agentic_sessions()) }}
{{ dirtied_by(["raaf.raaf_tracing_spans"], days_of_raaf_traces()) }}
{{ dirtied_by(
    [
        "chat.agents",
        "traceability.agent_routing_decisions",
        "traceability.execution_traces",
    ],
    "select null::date where false"
) }}

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
    select
        model_recorded,
        (called_at at time zone 'UTC')::date as usage_date
    from calls
    where model_recorded is not null and {{ in_dirty("called_at") }}
    union
    select
        model_recorded,
        (started_at at time zone 'UTC')::date as usage_date
    from runs
    where model_recorded is not null and {{ in_dirty("started_at") }}
),

distinct_names as (
    select distinct model_recorded
    from recorded_names
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

matched as (
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
)

select
    {{ surrogate_key(["recorded_names.usage_date - date '2000-01-01'", "recorded_names.model_recorded"]) }}
        as models_matched_key,
    recorded_names.usage_date,
    recorded_names.model_recorded,
    matched.provider,
    matched.model
from recorded_names
inner join matched on recorded_names.model_recorded = matched.model_recorded
