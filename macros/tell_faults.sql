{# After a run: what tests that failed say in a column `fault`, a sentence a row. dbt itself tells only how many
   rows there are. #}
{% macro tell_faults(results) %}
    {% if execute %}
        {% for result in results if result.status == "fail" and " as fault" in result.node.compiled_code %}
            {% set faults = run_query(
                "select distinct fault from (" ~ result.node.compiled_code ~ ") as faults order by fault limit 10"
            ) %}
            {% for fault in faults.columns[0].values() %}
                {% do log(result.node.name ~ ": " ~ fault, info=true) %}
            {% endfor %}
        {% endfor %}
    {% endif %}
{% endmacro %}
