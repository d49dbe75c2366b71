{# From a span to the day its trace started on and, because of the names of models in it, its own. #}
{% macro days_of_raaf_traces() -%}
    select (traces.started_at at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("raaf", "raaf_tracing_traces") }} as traces
        on traces.trace_id = keys ->> 'trace_id'
    union all
    select (spans.start_time at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("raaf", "raaf_tracing_spans") }} as spans
        on spans.trace_id = keys ->> 'trace_id'
    union all
    select (keys ->> 'day')::date from changes
{%- endmacro %}
