{# From a trace to the days of its spans. #}
{% macro days_of_trace_spans() -%}
    select (spans.started_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("observability", "spans") }} as spans on spans.trace_id = (keys ->> 'trace_id')::uuid
    union all
    {{ departed_days("observability", "spans", "keys ->> 'trace_id'") }}
{%- endmacro %}
