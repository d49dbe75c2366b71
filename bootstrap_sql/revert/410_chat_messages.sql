drop table chat.message_versions;
drop table chat.chat_messages_v2;
drop table chat.chat_messages;
drop function chat.is_message_context(jsonb);
drop function chat.is_message_metadata(jsonb);
drop function chat.is_message_content(jsonb);
drop table chat.conversation_sessions;
