"""What a job's SageMaker requests contain about the report's owner: company, logo, project, customer and site."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contract.branding import Company
from contract.options import MAX_NAME, TEXTS
from contract.stages import Stage
from domain.job import parse_options
from domain.sagemaker_requests import create_request, environment, same_work
from domain.stages import RetryState
from tests.support.cloud import RESULTS
from tests.support.fakes import FakeSageMaker
from tests.support.runs import JOB_ID, run_of
from tests.support.stage_requests import FINISHED, job, machine, platform, request


def test_the_compressor_alone_gets_the_company_and_a_copy_of_its_logo() -> None:
    company = Company("Söhne & Co", "Ulm", "branding/logo.png")
    ours = platform().model_copy(update={"company": company})

    def made(stage: Stage, **options: Any) -> dict[str, Any]:
        choice = machine(stage, **options)
        return create_request(run_of(stage), job(**options), FINISHED, ours, RetryState(), choice)

    request_with_logo = made(Stage.COMPRESSOR)
    *_, branding = request_with_logo["ProcessingInputs"]
    assert branding["S3Input"] == {
        "S3DataType": "S3Prefix",
        "S3Uri": f"s3://{RESULTS}/intermediates/{JOB_ID}/branding/",
        "LocalPath": "/opt/ml/processing/input/branding",
        "S3InputMode": "File",
    }
    assert company.variables.items() <= request_with_logo["Environment"].items()
    FakeSageMaker().create_processing_job(**request_with_logo)
    for other in (made(Stage.SFM), made(Stage.TRAINING), made(Stage.COMPRESSOR, products=0), request(Stage.COMPRESSOR)):
        assert not company.variables.keys() & other["Environment"].keys()
        assert "branding" not in repr(other)


def test_texts_reach_the_container_and_do_not_make_other_work_of_a_training() -> None:
    texts: dict[str, Any] = {"project": "Bridge 7", "customer": "Straßenbauamt", "site": "Mühlweg 4"}
    made = request(Stage.TRAINING, **texts)
    variables = {name: made["Environment"][name] for name in ("PROJECT", "CUSTOMER", "SITE")}
    assert variables == {"PROJECT": "Bridge 7", "CUSTOMER": "Straßenbauamt", "SITE": "Mühlweg 4"}
    assert same_work(made, request(Stage.TRAINING))
    assert not same_work(made, request(Stage.TRAINING, **texts, shDegree=1))


@given(
    st.fixed_dictionaries(
        dict.fromkeys(TEXTS, st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=MAX_NAME))
    )
)
def test_any_texts_make_a_request_that_sagemaker_takes(texts: dict[str, str]) -> None:
    asked = parse_options(texts)
    run = run_of(Stage.COMPRESSOR)
    variables = environment(run, job().model_copy(update={"options": asked}), platform().status_bus, RetryState())
    assert len(variables) <= 100
    assert max(map(len, variables.values())) <= 256
