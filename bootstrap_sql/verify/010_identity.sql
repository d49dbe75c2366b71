select ops.caller_user_id(), ops.caller_tenant_id();
