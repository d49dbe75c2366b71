drop function ops.caller_user_uuid();
drop function ops.caller_tenant_id();
drop function ops.caller_user_id();
drop function ops.caller_claim(text);
