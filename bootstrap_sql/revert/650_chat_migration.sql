drop function chat.read_share();
drop function chat.place_of(uuid);
drop function chat.refusal(uuid, uuid, jsonb, boolean);
drop function chat.content_of(text, jsonb);
drop function chat.text_of(jsonb);
drop function chat.is_first_session(uuid);
drop function chat.first_session(text, uuid, uuid);
drop table ops.chat_migration;
