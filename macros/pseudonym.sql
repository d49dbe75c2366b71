{# Keyed pseudonym of a person: stable within a database, not to be reversed without the salt that
   only the refresher can read. Whoever was erased is `erased`, like all others of them. Expects
   `ops.pseudonym_salt` joined as pseudonym_salt. #}
{% macro pseudonym(column) -%}
    case
        when {{ column }} in ('erased', 'ffffffff-ffff-ffff-ffff-ffffffffffff') then 'erased'
        when {{ column }} is not null
            then encode(
                sha256(convert_to(pseudonym_salt.salt || ':' || {{ column }}, 'UTF8')), 'hex'
            )
    end
{%- endmacro %}
