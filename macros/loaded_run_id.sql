{# Id of the loaded run that a raw row is a part of; null for rows of the source systems themselves,
   which may use the word run_id as they like. Only the loader writes the key `loader`. #}
{% macro loaded_run_id() -%}
    case when metadata ? 'loader' then metadata ->> 'run_id' end
{%- endmacro %}
