{# From changes of states to their agents and domains, and to those whose level falls, or no longer has fallen, by
   inactivity as the newest day has moved. #}
{% macro keys_of_idle_agents(trust_current, folded) -%}
    select keys ->> 'agent_domain_key' from changes
    union all
    select idle.agent_domain_key
    from {{ trust_current }} as idle
    cross join (select max(as_of_date) as newest_date from {{ folded }}) as newest
    where
        exists (select from changes)
        and (idle.falls_on <= newest.newest_date or idle.fell_on > newest.newest_date)
{%- endmacro %}
