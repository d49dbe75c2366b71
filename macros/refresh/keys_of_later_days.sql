{# From an agent's day to its key, and those of all later days of the agent in the domain: a fold goes on from there. #}
{% macro keys_of_later_days(decisions_daily) -%}
    select daily.decisions_daily_key
    from changes
    inner join {{ decisions_daily }} as daily
        on
            daily.agent_domain_key = keys ->> 'agent_domain_key'
            and daily.decided_date >= (keys ->> 'day')::date
    union all
    select
        {{ surrogate_key([
            "(keys ->> 'day')::date - date '2000-01-01'", "keys ->> 'agent_domain_key'"
        ]) }}
    from changes
{%- endmacro %}
