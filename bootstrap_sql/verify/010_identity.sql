select ops.caller_user_id(), ops.caller_user_uuid(), ops.caller_tenant_id();
