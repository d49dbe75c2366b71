{# Whether a session was made up for messages of chat.chat_messages, by its id: see chat.is_first_session. Written
   out, as a cluster does not run functions of ours for each row. #}
{% macro is_first_generation(session_id) -%}
    {{ session_id }} between 'c4a70001-0001-8001-8000-000000000000' and 'c4a70001-0001-8001-8fff-ffffffffffff'
{%- endmacro %}
