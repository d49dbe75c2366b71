{# One vocabulary for how an execution ended, over the four that the source systems use. #}
{% macro conform_status(column) -%}
    case
        when {{ column }} in ('pending', 'running', 'in_progress', 'active', 'paused') then 'running'
        when {{ column }} in ('completed', 'ok') then 'succeeded'
        when {{ column }} in ('failed', 'error') then 'failed'
        when {{ column }} in ('cancelled', 'skipped', 'abandoned', 'terminated') then 'cancelled'
        else 'unknown'
    end
{%- endmacro %}
