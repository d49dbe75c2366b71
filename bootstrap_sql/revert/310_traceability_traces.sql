drop table traceability.endpoint_calls;
drop table traceability.hook_executions;
drop table traceability.agent_routing_decisions;
drop table traceability.execution_traces;
