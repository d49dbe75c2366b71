drop table traceability.error_patterns;
drop table traceability.agent_chaining_patterns;
drop table traceability.pattern_usage_log;
drop table traceability.success_patterns;
drop schema traceability;
