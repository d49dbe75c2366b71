{# From a span to the day its trace started on and, because of the names of models in it, its own. #}
{% macro days_of_raaf_traces() -%}
    select (coalesce(traces.started_at, traces.created_at) at time zone 'UTC')::date
    from changes
    inner join {{ raw_table("raaf", "raaf_tracing_traces") }} as traces
        on traces.trace_id = keys ->> 'trace_id'
    union all
    {{ departed_days("raaf", "raaf_tracing_traces", "keys ->> 'trace_id'") }}
    union all
    {{ days_of_raaf_spans() }}
{%- endmacro %}
