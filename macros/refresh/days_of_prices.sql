{# From an edition of a model's prices to the days, from when it was known on, on which the model was called. #}
{% macro days_of_prices(models_matched) -%}
    select models_matched.usage_date
    from changes
    inner join {{ models_matched }} as models_matched
        on
            models_matched.provider = keys ->> 'provider'
            and models_matched.model = keys ->> 'model'
            and models_matched.usage_date
            >= ((keys ->> 'known_from')::timestamptz at time zone 'UTC')::date
{%- endmacro %}
