drop table chat.context_templates;
drop function chat.is_context_segments(jsonb);
drop table chat.context_snapshots;
