drop function traceability.forget_learned_uses(uuid[], timestamptz, timestamptz);
drop function traceability.error_message_pattern(text);
