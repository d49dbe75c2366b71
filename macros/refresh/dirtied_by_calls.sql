{# How changes of raw tables lead to the days of LLM calls, tool calls and messages, where that is not the changed
   row's own day: for models by the day of those. #}
{% macro dirtied_by_calls(activities) -%}
    {{ dirtied_by(["observability.traces"], days_counted(activities, "activity_date", "trace_id")) }}
    {{ dirtied_by(["raaf.raaf_tracing_spans"], days_of_raaf_spans()) }}
    {{ dirtied_by(["agentic.agent_sessions"], days_counted(activities, "activity_date", "session_id")) }}
    {{ dirtied_by(["traceability.execution_traces"], days_of_hook_executions()) }}
    {{ dirtied_by(["traceability.agent_routing_decisions"], "select null::date where false") }}
{%- endmacro %}
