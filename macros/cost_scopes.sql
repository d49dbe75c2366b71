{# What a row of cost_daily counts under: kind and key of each scope, the widest
   first. A key is null where the row belongs to none. #}
{% macro cost_scopes(costs) -%}
    ('total', 'total'),
    ('workflow', {{ costs }}.workflow),
    ('agent', {{ costs }}.agent_key),
    ('model', coalesce({{ costs }}.model, {{ costs }}.model_recorded)),
    ('user', {{ costs }}.user_key)
{%- endmacro %}
