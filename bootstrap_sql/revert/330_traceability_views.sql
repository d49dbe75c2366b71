drop view traceability.dashboard_summary;
drop view traceability.error_analysis;
drop view traceability.pattern_effectiveness;
drop view traceability.agent_performance;
drop view traceability.trace_summary;
