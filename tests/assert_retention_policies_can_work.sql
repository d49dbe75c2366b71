-- Rows that are never let go, or whose going takes others along, since a policy cannot do what it says.
select finding as fault
from ops.retention_findings('{{ ref("retention_policies") }}') as finding
