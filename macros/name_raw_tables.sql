{# In seeds that name raw tables by their systems: the schemas that those are in here. #}
{% macro name_raw_tables() %}
    {% if this.identifier == "retention_policies" %}
        update {{ this }} set table_name = ops.in_raw_schemas(table_name)
    {% endif %}
{% endmacro %}
