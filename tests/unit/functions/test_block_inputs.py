"""What a large flight's trainings and their join read of the scene: only their own part, by a manifest."""

from __future__ import annotations

import json

from contract.blocks import COARSE
from contract.stages import Stage
from tests.support.cloud import Cloud, invoke
from tests.support.large_flights import SCENE, has_plan, model_of, photo_of, run_block, training_of
from tests.support.runs import ask_for

LEFT = (
    *(f"images/{photo_of(number)}" for number in range(1, 5)),
    *(f"masks/{photo_of(number)}.png" for number in range(1, 5)),
    *("blocks.json", "photos.json", "georeference.json", "survey.json", "overlap.png", "coarse/photos.json"),
    *(f"{folder}sparse/0/{name}.bin" for folder in ("", "blocks/01/", "blocks/02/") for name in ("images", "points3D")),
    *("blocks/01/photos.json", "blocks/02/photos.json"),
)


def sources(cloud: Cloud, name: str) -> dict[str, dict[str, str]]:
    channels = cloud.sagemaker.jobs[name].request["InputDataConfig"]
    return {each["ChannelName"]: each["DataSource"]["S3DataSource"] for each in channels}


def listed(cloud: Cloud, source: dict[str, str]) -> tuple[str, set[str]]:
    """The common prefix of a channel's objects, and the rest of their names."""
    assert source["S3DataType"] == "ManifestFile"
    common, *names = json.loads(cloud.get(source["S3Uri"]))
    assert len(set(names)) == len(names)
    return common["prefix"], set(names)


def test_a_block_reads_its_own_photos_points_and_plan_and_of_the_coarse_model_what_it_draws(cloud: Cloud) -> None:
    has_plan(cloud, 3, LEFT)
    channels = sources(cloud, run_block(cloud, 2))
    prefix, names = listed(cloud, channels["scene"])
    assert prefix == f"{SCENE}/"
    photos = ("000002.jpg", "000003.jpg")
    assert names == {
        *(f"images/{name}" for name in photos),
        *(f"masks/{name}.png" for name in photos),
        *("blocks.json", "photos.json", "georeference.json", "blocks/02/photos.json"),
        *("blocks/02/sparse/0/images.bin", "blocks/02/sparse/0/points3D.bin"),
    }
    prefix, names = listed(cloud, channels["coarse"])
    assert prefix == f"{model_of(training_of(COARSE))}/"
    assert names == {"scene.ply", "surroundings.json", "result.json"}


def test_the_coarse_model_reads_all_photos_and_the_flights_own_model(cloud: Cloud) -> None:
    has_plan(cloud, 3, LEFT)
    (source,) = sources(cloud, run_block(cloud, COARSE)).values()
    _, names = listed(cloud, source)
    assert {name for name in names if name.startswith("images/")} == {
        name for name in LEFT if name.startswith("images")
    }
    assert {name for name in names if "sparse" in name} == {"sparse/0/images.bin", "sparse/0/points3D.bin"}
    assert not any(name.startswith("blocks/") for name in names)


def test_the_join_reads_the_photos_and_what_page_and_products_are_made_from(cloud: Cloud) -> None:
    """With the masks: what they hide stays off the orthophoto."""
    has_plan(cloud, 3, LEFT)
    event = ask_for(Stage.COMPRESSOR, "token-1")
    event["job"]["stages"]["sfm"] |= {"outputUri": SCENE, "counts": {"blocks": 3}}
    name = invoke("run_stage", event)["jobName"]
    _, cameras = cloud.sagemaker.jobs[name].request["ProcessingInputs"]
    _, names = listed(cloud, {**cameras["S3Input"]})
    top = {"result.json", "blocks.json", "photos.json", "georeference.json", "survey.json", "overlap.png"}
    assert names == top | {name for name in LEFT if name.startswith(("images/", "masks/"))}


def test_a_scene_that_does_not_say_what_it_holds_is_damaged(cloud: Cloud) -> None:
    has_plan(cloud, 3)
    cloud.delete(f"{SCENE}/result.json")
    run_block(cloud, 1)
    assert cloud.stepfunctions.failures("token-1") == ["RESULT_DAMAGED"]
    assert cloud.sagemaker.created == []
