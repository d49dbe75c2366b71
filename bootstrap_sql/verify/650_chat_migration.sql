-- Raises where the state or a function is missing, or an id is not what models look for.

select
    1 / (count(*) = 1)::int,
    'chat.refusal(uuid, uuid, jsonb, boolean)'::regprocedure,
    1 / chat.is_first_session(chat.first_session('default', gen_random_uuid(), gen_random_uuid()))::int,
    1 / (not chat.is_first_session(gen_random_uuid()))::int,
    1 / (chat.text_of(chat.content_of('said', null)) = 'said')::int
from ops.chat_migration;
