"""The stack with its stages in a private network, as in production."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.orchestration_load import JOB_SECONDS, Stack, stub_stack, zip_of_photos
from local.customer import StatusEvent, subscribed
from tests.support.samconfig import deployed_with


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # MiniStack has no CloudTrail
    parameters = deployed_with("prod") | {"AuditTrail": "false", "AlarmEmail": "operator@example.com"}
    with stub_stack(tmp_path_factory.mktemp("private"), parameters=parameters) as deployed:
        yield deployed


@pytest.fixture(scope="module")
def last_event(stack: Stack) -> StatusEvent:
    with subscribed(stack.address, stack.outputs["StatusBusName"]) as subscription:
        stack.upload("meadow.zip", zip_of_photos(1))
        return list(subscription.follow(JOB_SECONDS))[-1]


def test_a_job_succeeds(last_event: StatusEvent) -> None:
    assert last_event.type == "Job Succeeded"


def test_every_stage_runs_in_the_stacks_own_network(stack: Stack, last_event: StatusEvent) -> None:
    ec2 = stack.address.client("ec2")
    own = {"Name": "tag:Name", "Values": ["spaceport-prod"]}
    (network,) = ec2.describe_vpcs(Filters=[own])["Vpcs"]
    subnets = {subnet["SubnetId"] for subnet in ec2.describe_subnets(Filters=[own])["Subnets"]}
    assert len(subnets) == 2
    sagemaker, job = stack.address.client("sagemaker"), last_event.job_id
    sfm, compressor = (
        sagemaker.describe_processing_job(ProcessingJobName=f"{job}-{stage}-1")["NetworkConfig"]
        for stage in ("sfm", "compressor")
    )
    training = sagemaker.describe_training_job(TrainingJobName=f"{job}-3dgs-1")
    for given in (sfm, training, compressor):
        assert set(given["VpcConfig"]["Subnets"]) == subnets
        assert given["EnableInterContainerTrafficEncryption"]
        (group,) = given["VpcConfig"]["SecurityGroupIds"]
        assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["VpcId"] == network["VpcId"]


def test_no_route_leads_out_of_it(stack: Stack) -> None:
    ec2 = stack.address.client("ec2")
    (network,) = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["spaceport-prod"]}])["Vpcs"]
    here = [{"Name": "vpc-id", "Values": [network["VpcId"]]}]
    tables = ec2.describe_route_tables(Filters=here)["RouteTables"]
    assert len(tables) >= 1
    assert {route.get("GatewayId") for table in tables for route in table["Routes"]} <= {"local"}
    services = {
        endpoint["ServiceName"].split(".", 3)[-1]
        for endpoint in ec2.describe_vpc_endpoints(Filters=here)["VpcEndpoints"]
    }
    assert services == {"s3", "events"}
