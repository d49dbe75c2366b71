"""The view focus_costs against FOCUS 1.4, dataset Cost and Usage: its columns and the rules for their values.

FOCUS lets a column depend on the "operating model" of whoever writes the data. Ours measures usage and
prices by model; it has no unit prices (a row adds up tokens of several), negotiated prices, commitments,
payable invoices, accounts below the tenant, regions, resources or tags.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest
from faults import value

from orchestration import simulated_traffic
from orchestration.simulated_traffic import simulate_traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from refreshing import Refresher

OPERATING_MODEL = {"usage measurement", "unit pricing"}

# All 65 columns: when they must be there (a condition of the operating model: only then), whether they may be
# null, and their type.
COLUMNS = """
AllocatedMethodDetails               recommended                           null      JSON
AllocatedMethodId                    split cost allocation                 null      String
AllocatedResourceId                  split cost allocation                 null      String
AllocatedResourceName                split cost allocation                 null      String
AllocatedTags                        split cost allocation                 null      JSON
AvailabilityZone                     recommended                           null      String
BilledCost                           mandatory                             not null  Decimal
BillingAccountId                     mandatory                             not null  String
BillingAccountName                   mandatory                             null      String
BillingAccountType                   billing account types                 not null  String
BillingCurrency                      mandatory                             not null  String
BillingPeriodEnd                     mandatory                             not null  Date/Time
BillingPeriodStart                   mandatory                             not null  Date/Time
CapacityReservationId                capacity reservations                 null      String
CapacityReservationStatus            capacity reservations                 null      String
ChargeCategory                       mandatory                             not null  String
ChargeClass                          mandatory                             null      String
ChargeDescription                    mandatory                             null      String
ChargeFrequency                      recommended                           not null  String
ChargePeriodEnd                      mandatory                             not null  Date/Time
ChargePeriodStart                    mandatory                             not null  Date/Time
CommitmentDiscountCategory           commitment discounts                  null      String
CommitmentDiscountId                 commitment discounts                  null      String
CommitmentDiscountName               commitment discounts                  null      String
CommitmentDiscountQuantity           commitment discounts                  null      Decimal
CommitmentDiscountStatus             commitment discounts                  null      String
CommitmentDiscountType               commitment discounts                  null      String
CommitmentDiscountUnit               commitment discounts                  null      String
CommitmentProgramEligibilityDetails  commitment programs                   null      JSON
ConsumedQuantity                     usage measurement                     null      Decimal
ConsumedUnit                         usage measurement                     null      String
ContractApplied                      contract commitments                  null      JSON
ContractedCost                       mandatory                             not null  Decimal
ContractedUnitPrice                  negotiated pricing                    null      Decimal
EffectiveCost                        mandatory                             not null  Decimal
HostProviderName                     mandatory                             not null  String
InvoiceDetailId                      payable invoices                      null      String
InvoiceId                            payable invoices                      null      String
InvoiceIssuerName                    mandatory                             not null  String
ListCost                             mandatory                             not null  Decimal
ListUnitPrice                        list unit prices                      null      Decimal
PricingCategory                      multiple pricing categories           null      String
PricingCurrency                      pricing currencies                    not null  String
PricingCurrencyContractedUnitPrice   pricing currencies                    null      Decimal
PricingCurrencyEffectiveCost         pricing currencies                    not null  Decimal
PricingCurrencyListUnitPrice         pricing currencies                    null      Decimal
PricingQuantity                      mandatory                             null      Decimal
PricingUnit                          mandatory                             null      String
RegionId                             regions                               null      String
RegionName                           regions                               null      String
ResourceId                           provisioned resources                 null      String
ResourceName                         provisioned resources                 null      String
ResourceType                         provisioned resources                 null      String
ServiceCategory                      mandatory                             not null  String
ServiceName                          mandatory                             not null  String
ServiceProviderName                  mandatory                             not null  String
ServiceSubcategory                   recommended                           not null  String
SkuId                                unit pricing                          null      String
SkuMeter                             unit pricing                          null      String
SkuPriceDetails                      unit pricing                          null      JSON
SkuPriceId                           unit pricing                          null      String
SubAccountId                         sub accounts                          null      String
SubAccountName                       sub accounts                          null      String
SubAccountType                       sub account types                     null      String
Tags                                 tags                                  null      JSON
"""
TYPES = {
    "String": "text",
    "Decimal": "numeric",
    "Date/Time": "timestamp with time zone",
    "JSON": "jsonb",
}
SPECIFIED = {
    name: (level, is_null == "null", TYPES[data_type])
    for name, level, is_null, data_type in (
        re.split(" {2,}", line) for line in COLUMNS.strip().splitlines()
    )
}

# What must hold in each row, and a change after which it does not.
RULES = {
    "BillingCurrency is one of ISO 4217": (
        """"BillingCurrency" ~ '^[A-Z]{3}$'""",
        """"BillingCurrency" = 'dollars'""",
    ),
    "ChargeCategory has an allowed value": (
        """"ChargeCategory" in ('Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment')""",
        """"ChargeCategory" = 'usage'""",
    ),
    "ChargeClass is Correction or null": (
        """coalesce("ChargeClass", 'Correction') = 'Correction'""",
        """"ChargeClass" = 'Regular'""",
    ),
    "ChargeDescription should not be null": (
        """"ChargeDescription" is not null""",
        """"ChargeDescription" = null""",
    ),
    "ChargeFrequency has an allowed value, and a purchase is not usage-based": (
        """"ChargeFrequency" in ('One-Time', 'Recurring', 'Usage-Based')
        and ("ChargeCategory" <> 'Purchase' or "ChargeFrequency" <> 'Usage-Based')""",
        """"ChargeCategory" = 'Purchase'""",
    ),
    "the charge period begins before it ends, within the billing period": (
        """"ChargePeriodStart" < "ChargePeriodEnd" and "ChargePeriodStart" >= "BillingPeriodStart"
        and "ChargePeriodEnd" <= "BillingPeriodEnd" """,
        """"ChargePeriodEnd" = "BillingPeriodEnd" + interval '1 day'""",
    ),
    "EffectiveCost is BilledCost where nothing covers anything": (
        """"EffectiveCost" = "BilledCost" """,
        """"EffectiveCost" = "BilledCost" + 1""",
    ),
    "ContractedCost is ListCost without negotiated prices": (
        """"ContractedCost" = "ListCost" """,
        """"ContractedCost" = "ListCost" + 1""",
    ),
    "ListCost is BilledCost without a ListUnitPrice": (
        """"ListCost" = "BilledCost" """,
        """"ListCost" = 1 + "BilledCost" """,
    ),
    "usage that is no correction has a SKU and a price of it": (
        """num_nonnulls("SkuId", "SkuPriceId") = 2 or "ChargeCategory" not in ('Usage', 'Purchase')
        or "ChargeClass" = 'Correction'""",
        """"SkuPriceId" = null""",
    ),
    "usage that is no correction has quantities": (
        """num_nonnulls("PricingQuantity", "ConsumedQuantity") = 2
        or "ChargeCategory" not in ('Usage', 'Purchase') or "ChargeClass" = 'Correction'""",
        """"PricingQuantity" = null""",
    ),
    "there is no quantity and are no details without a price of a SKU": (
        """"SkuPriceId" is not null
        or num_nonnulls("PricingQuantity", "ConsumedQuantity", "SkuPriceDetails") = 0""",
        """"SkuPriceId" = null""",
    ),
    "a quantity has a unit, and a unit a quantity": (
        """("PricingUnit" is null) = ("PricingQuantity" is null)
        and ("ConsumedUnit" is null) = ("ConsumedQuantity" is null)""",
        """"PricingUnit" = null""",
    ),
    "units are plural nouns with a capital": (
        """concat("PricingUnit", ' ', "ConsumedUnit") ~ '^[A-Z][a-z]+s [A-Z][a-z]+s$'""",
        """"PricingUnit" = 'token'""",
    ),
    "SkuMeter is null with SkuId, and else should not be": (
        """("SkuMeter" is null) = ("SkuId" is null)""",
        """"SkuMeter" = null""",
    ),
    "the service has an allowed category and a subcategory of it": (
        """"ServiceCategory" = 'AI and Machine Learning' and "ServiceSubcategory" in (
            'AI Platforms', 'Bots', 'Generative AI', 'Machine Learning', 'Natural Language Processing',
            'Other (AI and Machine Learning)'
        )""",
        """"ServiceSubcategory" = 'Large Language Models'""",
    ),
    "no string is empty or stands for a missing value": (
        """not array[
            "BillingAccountId", "BillingAccountName", "ChargeDescription", "HostProviderName",
            "InvoiceIssuerName", "ServiceName", "ServiceProviderName", "SkuId", "SkuMeter", "SkuPriceId"
        ] && array['', ' ', 'unknown', 'Unknown', 'Not Applicable', 'N/A', 'None', 'null']""",
        """"ServiceProviderName" = 'Unknown'""",
    ),
    "numbers are numbers": (
        """"BilledCost" not in ('NaN', 'Infinity', '-Infinity') and "PricingQuantity" >= 0""",
        """"BilledCost" = 'NaN'""",
    ),
}
# What must hold of several rows: a query for what breaks it.
ONE_OF_EACH = {
    "SkuPriceId": "SkuId",
    "SkuId": "SkuMeter",
    "ServiceName": "ServiceCategory",
    "ServiceSubcategory": "ServiceCategory",
}


@pytest.fixture(scope="module")
def marts_url(empty_marts: Callable[[], Refresher]) -> str:
    """The URL of marts over traffic with calls and whole runs of known and of unknown cost."""
    refresher = empty_marts()
    with psycopg.connect(refresher.url, autocommit=True) as connection:
        simulated_traffic.write(connection, simulate_traffic(5, 40, 1).writes)
        refresher.refresh(connection)
    return refresher.url


@pytest.fixture
def rows(marts_url: str) -> Iterator[psycopg.Connection]:
    """A transaction with a copy of the view's rows, charges, that may be spoilt."""
    with psycopg.connect(marts_url) as connection:
        connection.execute("create temp table charges as select * from marts.focus_costs")
        yield connection
        connection.rollback()


@pytest.fixture
def found(rows: psycopg.Connection) -> dict[str, str]:
    """The view's columns and their types, in its order."""
    return dict(
        rows.execute(
            "select column_name, data_type from information_schema.columns"
            " where table_schema = 'marts' and table_name = 'focus_costs' order by ordinal_position"
        ).fetchall()
    )


def test_the_table_of_columns_is_whole() -> None:
    """Catches a rule that was lost while the table was edited."""
    assert len(SPECIFIED) == 65
    assert list(SPECIFIED) == sorted(SPECIFIED)


def test_columns_are_there_that_must_be(found: dict[str, str]) -> None:
    """Catches an export that a validator turns down before it reads a row."""
    required = {
        name
        for name, (level, _, _) in SPECIFIED.items()
        if level == "mandatory" or level in OPERATING_MODEL
    }
    assert required <= found.keys(), "a column is missing"
    recommended = {name for name, (level, _, _) in SPECIFIED.items() if level == "recommended"}
    of_focus = {name for name in found if not name.startswith("x_")}
    assert of_focus <= required | recommended, "this column is not ours to fill, or is misspelt"


def test_own_columns_stand_behind_and_have_the_prefix(found: dict[str, str]) -> None:
    """Catches a column that a later version of FOCUS may give another meaning."""
    names = list(found)
    own = [name for name in names if name.startswith("x_")]
    assert names == sorted(set(names) - set(own)) + own
    assert all(re.fullmatch("x_[A-Z][A-Za-z]{2,47}", name) for name in own)


def test_columns_have_the_types_of_the_specification(found: dict[str, str]) -> None:
    """Catches money as a float, and days without a time zone."""
    types = {name: data_type for name, (_, _, data_type) in SPECIFIED.items()}
    assert {n: t for n, t in found.items() if n in types} == {
        n: types[n] for n in found if n in types
    }


def test_only_what_may_be_null_is_null(rows: psycopg.Connection, found: dict[str, str]) -> None:
    """Catches a charge without an amount, a seller or a period."""
    assert value(rows, "select count(*) from charges") > 50
    for name, (_, may_be_null, _) in SPECIFIED.items():
        if name in found and not may_be_null:
            nulls = value(rows, f'select count(*) from charges where "{name}" is null')
            assert nulls == 0, f"{name} must not be null"


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_holds_in_each_row(rows: psycopg.Connection, rule: str) -> None:
    """Catches charges that another tool reads otherwise than they are meant."""
    holds, spoil = RULES[rule]
    violations = f"select count(*) from charges where ({holds}) is not true"
    assert value(rows, violations) == 0, rule
    rows.execute(f"update charges set {spoil}".encode())
    assert value(rows, violations) > 0, "the rule never finds anything"


@pytest.mark.parametrize(("column", "determines"), ONE_OF_EACH.items())
def test_each_value_has_one_parent(rows: psycopg.Connection, column: str, determines: str) -> None:
    """Catches a SKU that is two things, or a service in two categories."""
    several = (
        f'select count(*) from (select from charges group by "{column}"'
        f' having count(distinct "{determines}") > 1) as several'
    )
    assert value(rows, several) == 0
    rows.execute(f'update charges set "{column}" = \'one\', "{determines}" = "x_ChargeId"'.encode())
    assert value(rows, several) == 1, "the rule never finds anything"


def test_what_is_unknown_is_left_out_and_counted(rows: psycopg.Connection) -> None:
    """Catches unknown costs that pass for nothing in somebody else's totals."""
    assert value(rows, "select count(*) from marts.cost_daily where cost_usd is null") > 0
    assert value(rows, "select count(*) from charges") == value(
        rows, "select count(*) from marts.cost_daily where cost_usd is not null"
    )
    assert value(rows, "select sum(charges_omitted) from marts.focus_omissions") == value(
        rows, "select count(*) from marts.cost_daily where cost_usd is null"
    )
    assert value(rows, 'select sum("BilledCost") from charges') == value(
        rows, "select sum(cost_usd) from marts.cost_daily"
    )
