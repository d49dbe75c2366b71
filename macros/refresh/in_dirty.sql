{# The place in a model where what is not dirty is left out: `where {{ in_dirty("spans.started_at") }}`,
   on the bare event time of a model by period, or on the key of a model by key, as near to the raw tables
   as can be. ops.refresh puts the condition there; in a build of everything it is true. #}
{% macro in_dirty(column) -%}
    /* dirty: {{ column }} */ true
{%- endmacro %}
