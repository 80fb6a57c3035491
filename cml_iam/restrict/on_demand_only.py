"""No Spot instances."""

from cml_iam.restrict._options import flag
from cml_iam.restrict._row import Case, KeyTest, Restriction, Rule

ON_DEMAND_ONLY = Restriction(
    name="on_demand_only",
    options=(flag("on_demand_only", "No Spot instances."),),
    title="no Spot instance is launched",
    rules=lambda _: (Rule("DenySpot", (KeyTest("ec2:InstanceMarketType", "on-demand"),)),),
    cases=lambda _: (Case("as a Spot instance", {"market": "spot"}),),
)
