{# Where the rows of a raw table are read, archived ones included. Not `source`, which would make every table that a change can come from an
   input of the unit tests. #}
{% macro raw_table(source_name, table_name) %}
    {% set sources = graph.sources.values() if execute and graph.sources is defined else [] %}
    {% set found = sources
        | selectattr("source_name", "equalto", source_name)
        | selectattr("name", "equalto", table_name) | list %}
    {{ return(found[0].schema ~ "." ~ found[0].identifier if found else source_name ~ "." ~ table_name) }}
{% endmacro %}
