"""The load of uploads that the orchestration's benchmark generates."""

from collections import Counter

from benchmarks.orchestration_load import customer_of
from domain.limits import MAX_MAILS_A_DAY
from local.cloud import ROOT
from local.template import load_template


def test_no_customer_of_the_load_meets_a_limit_of_owners() -> None:
    each = max(Counter(customer_of(number) for number in range(1000)).values())
    declared = load_template(ROOT / "template.yaml")["Parameters"]
    assert each <= min(int(declared[name]["Default"]) for name in ("OwnerOpenJobs", "OwnerDailyJobs"))
    assert each <= MAX_MAILS_A_DAY
