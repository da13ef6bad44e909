"""The queue for machines: run_stage queues runs for which SageMaker has no machine, dispatch serves them in order."""

from __future__ import annotations

import json
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.codes import ErrorCode
from contract.stages import Stage
from domain import stage_runs
from domain.capacity import MAX_FAULTS
from domain.fairness import StartTags
from domain.stage_runs import CLAIM_SECONDS, StageRuns
from domain.stages import RetryState, StageRun
from tests.support.cloud import Cloud, Crash, invoke
from tests.support.fakes import FakeExecution
from tests.support.queueing import Clock, ask, ended, look_round, name
from tests.support.runs import waiting

# a crash leaves no metrics to publish, and Powertools warns about that
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")


def test_what_has_no_machine_waits_and_so_does_its_task(one_machine: Cloud) -> None:
    ask(1)
    ask(2)
    assert one_machine.sagemaker.created == [name(1)]
    assert waiting(Stage.TRAINING, one_machine) == [name(2)]
    assert one_machine.stepfunctions.answers == []


def test_a_job_that_waits_for_capacity_publishes_that_and_when_it_got_some(one_machine: Cloud) -> None:
    ask(1)
    ask(2)
    one_machine.sagemaker.complete(name(1))
    invoke("dispatch", ended(1))
    details = [said["detail"] for said in one_machine.heard() if said["detail"]["jobId"] == "job-2"]
    assert [said["message"] for said in details] == [
        "waiting for a machine",
        "waiting for capacity",
        "a machine was found",
    ]
    assert [said["sequence"] for said in details] == [2_010_000, 2_010_001, 2_010_002]


def test_fifty_jobs_of_one_owner_get_their_machine_in_the_order_in_which_they_began(one_machine: Cloud) -> None:
    """Whenever they were uploaded: a rerun of an old upload does not go to the front."""
    late_first = [*range(10, 0, -1), *range(11, 51)]
    for number in late_first:
        ask(number)
    order = [10]
    while waiting(Stage.TRAINING, one_machine):
        look_round()  # every five minutes
        one_machine.sagemaker.complete(name(order[-1]))
        (served,) = invoke("dispatch", ended(order[-1]))["served"]
        order.append(int(served.split("-")[1]))
    assert order == late_first


def turns(cloud: Cloud, first: int) -> list[int]:
    """The jobs in the order in which they get the only machine, after `first`, which has it."""
    order = [first]
    while waiting(Stage.TRAINING, cloud):
        cloud.sagemaker.complete(name(order[-1]))
        (served,) = invoke("dispatch", ended(order[-1]))["served"]
        order.append(int(served.split("-")[1]))
    return order[1:]


def test_owners_take_turns_however_many_jobs_each_has(one_machine: Cloud) -> None:
    for number in range(1, 7):
        ask(number, owner="alice")
    for number in (10, 11):
        ask(number, owner="bob")
    ask(20, owner=None)  # the operator's own
    assert turns(one_machine, 1) == [10, 20, 2, 11, 3, 4, 5, 6]


def test_who_had_the_machines_while_nobody_wanted_them_owes_nobody(one_machine: Cloud) -> None:
    one_machine.sagemaker.quota = None
    for number in range(1, 9):
        ask(number, owner="alice")
    one_machine.sagemaker.quota = 0
    ask(10, owner="bob")
    ask(9, owner="alice")
    ask(11, owner="bob")
    one_machine.sagemaker.quota = None
    assert look_round() == [name(10), name(9), name(11)]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=20), st.uuids())
def test_between_two_of_ones_own_nobody_else_has_more_than_two(cloud: Cloud, owners: list[str], run: UUID) -> None:
    tags = StartTags(cloud.table("limits"))
    taken = [tags.take(f"{owner}-{run}") for owner in owners]
    served = [owners[number] for number in sorted(range(len(owners)), key=lambda number: (taken[number], number))]
    for owner in set(owners):
        places = [place for place, other in enumerate(served) if other == owner]
        for before, after in pairwise(places):
            between = served[before + 1 : after]
            assert all(between.count(other) <= 2 for other in between)


def test_a_newcomer_does_not_overtake_those_who_wait(one_machine: Cloud) -> None:
    for number in (1, 2):
        ask(number)
    one_machine.sagemaker.complete(name(1))  # and dispatch has not received the event of that
    ask(3)
    assert one_machine.sagemaker.created == [name(1), name(2)]
    assert waiting(Stage.TRAINING, one_machine) == [name(3)]


def test_each_stage_has_a_queue_of_its_own(one_machine: Cloud) -> None:
    for stage in (Stage.SFM, Stage.TRAINING):
        ask(1, stage, f"token-{stage}")
        ask(2, stage, f"token-2-{stage}")
    one_machine.sagemaker.complete(name(1, Stage.SFM))
    assert invoke("dispatch", ended(1, Stage.SFM)) == {"served": [name(2, Stage.SFM)]}
    assert waiting(Stage.TRAINING, one_machine) == [name(2)]


def test_the_later_stage_of_an_early_upload_goes_before_the_earlier_stage_of_a_late_one(one_machine: Cloud) -> None:
    """Both are processing jobs on the same instance type, with a quota of one."""
    ask(1, Stage.SFM)
    for number in (2, 3):
        ask(number, Stage.SFM)
    one_machine.sagemaker.complete(name(1, Stage.SFM))
    assert invoke("dispatch", ended(1, Stage.SFM)) == {"served": [name(2, Stage.SFM)]}
    ask(1, Stage.COMPRESSOR, "token-1-again")
    assert waiting(Stage.COMPRESSOR, one_machine) == [name(1, Stage.COMPRESSOR)]
    one_machine.sagemaker.complete(name(2, Stage.SFM))
    assert invoke("dispatch", ended(2, Stage.SFM)) == {"served": [name(1, Stage.COMPRESSOR)]}
    assert waiting(Stage.SFM, one_machine) == [name(3, Stage.SFM)]


def test_a_machine_that_became_free_unheard_is_found_by_looking_round(one_machine: Cloud) -> None:
    ask(1)
    ask(2)
    one_machine.sagemaker.complete(name(1))
    assert look_round() == [name(2)]


def test_a_run_between_two_attempts_of_its_task_keeps_its_place(one_machine: Cloud) -> None:
    ask(1)
    ask(2)
    one_machine.stepfunctions.executions["job-2"] = FakeExecution({})
    one_machine.stepfunctions.time_out("token-2")
    look_round()
    ask(2, token="token-2-again")
    one_machine.sagemaker.complete(name(1))
    assert look_round() == [name(2)]
    look_round()
    assert one_machine.sagemaker.created == [name(1), name(2)]


def test_a_request_that_is_wrong_does_not_hold_up_those_behind_it(one_machine: Cloud) -> None:
    for number in (1, 2, 3):
        ask(number)
    one_machine.sagemaker.complete(name(1))
    one_machine.sagemaker.refuse_next("ValidationException")
    assert look_round() == [name(3)]
    assert one_machine.stepfunctions.failures("token-2") == [ErrorCode.INTERNAL]
    assert one_machine.sagemaker.created == [name(1), name(3)]


# https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html
@pytest.mark.parametrize("code", ["InternalFailure", "ServiceUnavailable", "RequestLimitExceeded", "ConflictException"])
def test_a_fault_that_one_run_meets_holds_up_nobody_behind_it(one_machine: Cloud, code: str) -> None:
    one_machine.sagemaker.quota = 0
    for number in (1, 2, 3):
        ask(number)
    one_machine.sagemaker.quota = None
    one_machine.sagemaker.refuse_next(code)
    assert look_round() == [name(2), name(3)]
    assert waiting(Stage.TRAINING, one_machine) == [name(1)]
    assert look_round() == [name(1)]


def test_an_instance_type_that_is_full_holds_up_no_run_that_needs_another(one_machine: Cloud) -> None:
    one_machine.sagemaker.quota = 0
    for number, quality in ((1, "standard"), (2, "standard"), (3, "high")):
        ask(number, quality=quality)
    one_machine.sagemaker.quota = None
    one_machine.sagemaker.refuse_next("ResourceLimitExceeded")
    assert look_round() == [name(3)]


def test_a_pass_ends_when_sagemaker_answers_nobody(one_machine: Cloud) -> None:
    one_machine.sagemaker.quota = 0
    for number in range(1, 7):
        ask(number)
    one_machine.sagemaker.quota = None
    for _ in range(MAX_FAULTS + 1):
        one_machine.sagemaker.refuse_next("ServiceUnavailable")
    assert look_round() == []
    one_machine.watch.calls.clear()
    assert one_machine.sagemaker.created == []
    look_round()
    assert len(waiting(Stage.TRAINING, one_machine)) == 1  # the run whose Create was the fourth to be refused


def test_more_runs_than_a_page_holds_are_all_served(one_machine: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    page = 4
    monkeypatch.setattr(stage_runs, "MAX_PAGE", page)
    one_machine.sagemaker.quota = 0
    runs = StageRuns(one_machine.table("stage-runs"))
    ask(1)
    (first,) = runs.queue(Stage.TRAINING)
    assert first.request is not None
    for number in range(2, 2 * page + 2):
        run = StageRun(job_id=f"job-{number}", stage=Stage.TRAINING, attempt=1)
        runs.remember(run, f"token-{number}", RetryState(), number)
        runs.queue_up(run, f"token-{number}", first.request | {"TrainingJobName": run.job_name}, number)
    one_machine.sagemaker.quota = None
    assert len(look_round()) == 2 * page + 1


def test_somebody_elses_job_serves_nobody(one_machine: Cloud) -> None:
    event = ended(1)
    event["detail"]["TrainingJobName"] = "another-teams-job"
    assert invoke("dispatch", event) == {"served": []}


@pytest.mark.parametrize("arrives", [False, True], ids=["before the call", "after the call"])
def test_a_crash_at_any_call_and_another_look_leave_one_job_for_each_run(
    one_machine: Cloud, clock: Clock, arrives: bool
) -> None:
    one_machine.sagemaker.quota = 0
    ask(1)
    one_machine.sagemaker.quota = None
    one_machine.watch.calls.clear()
    look_round()
    calls = list(one_machine.watch.calls)
    assert len(calls) >= 4
    for number in range(2, len(calls) + 2):
        one_machine.sagemaker.quota = 0
        ask(number)
        one_machine.sagemaker.quota = None
        one_machine.watch.calls.clear()
        one_machine.watch.crash_at, one_machine.watch.arrives = number - 2, arrives
        with pytest.raises(Crash):
            look_round()
        one_machine.watch.crash_at = None
        clock.pass_seconds(CLAIM_SECONDS + 1)  # until then, its claim keeps other dispatchers away
        look_round()
        assert one_machine.sagemaker.created.count(name(number)) == 1
        assert waiting(Stage.TRAINING, one_machine) == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.sampled_from(["ask", "complete", "complete unheard", "look round"]), max_size=25))
def test_whatever_happens_machines_are_given_in_order_and_none_stands_idle(cloud: Cloud, moves: list[str]) -> None:
    sagemaker = cloud.sagemaker
    sagemaker.quota, sagemaker.jobs, sagemaker.created = 2, {}, []
    for item in cloud.table("stage-runs").scan()["Items"]:
        cloud.table("stage-runs").delete_item(Key={key: item[key] for key in ("jobId", "stageRun")})
    asked = 0
    for move in [*moves, "look round"]:
        if move == "ask" and asked < 23:
            asked += 1
            ask(asked)
        elif move == "look round":
            look_round()
        elif running := [job.name for job in sagemaker.jobs.values() if job.status == "InProgress"]:
            sagemaker.complete(running[0])
            if move == "complete":
                invoke("dispatch", ended(int(running[0].split("-")[1])))
    running = [job.name for job in sagemaker.jobs.values() if job.status == "InProgress"]
    assert sagemaker.created == [name(number) for number in range(1, len(sagemaker.created) + 1)]
    assert len(running) == 2 or not waiting(Stage.TRAINING, cloud)


def test_what_waits_is_created_as_it_would_have_been(one_machine: Cloud) -> None:
    ask(1)
    ask(2)
    one_machine.sagemaker.complete(name(1))
    look_round()
    first, second = (json.dumps(one_machine.sagemaker.jobs[name(number)].request) for number in (1, 2))
    assert second == first.replace("job-1", "job-2")
