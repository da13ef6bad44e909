"""Which unit tests are slow: `make unit` leaves them out, and those of handlers against a whole cloud in moto."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

UNIT = Path(__file__).parent

# whole stages, training and searches, and single tests of more than 1.5 CPU seconds; as node ids begin below tests/unit
SLOW = (
    "benchmarks/test_gpu_check.py::test_the_check_imports",
    "benchmarks/test_gpu_check.py::test_the_whole_check",
    "benchmarks/test_offpath_figures.py::test_weights_add_up",
    "benchmarks/test_offpath_figures.py::test_what_a_splat_does_not_cover",
    "benchmarks/test_score_ladder.py",
    "benchmarks/test_train_fold.py",
    "compressor/test_compressor_inputs.py",
    "compressor/test_compressor_stage.py",
    "compressor/test_compressor_warm.py::test_a_job",
    "compressor/test_foreign_splats.py::test_a_few_gaussians",
    "compressor/test_foreign_splats.py::test_rows_with_values",
    "compressor/test_formats.py::test_a_compressed_ply",
    "compressor/test_join.py::test_a_scene_too_large",
    "compressor/test_join.py::test_memory_grows",
    "compressor/test_measuring_memory.py",
    "compressor/test_pace.py::test_a_preview",
    "compressor/test_pace.py::test_compression_reports",
    "compressor/test_page_photos.py::test_marks_in_thumbnails",
    "compressor/test_page_thumbnails.py",
    "compressor/test_page_volumes.py::test_the_volume_of_a_heap",
    "compressor/test_pruning.py",
    "compressor/test_rounding.py",
    "compressor/test_search.py",
    "compressor/test_sensitivity.py",
    "compressor/test_sog_attributes.py::test_codebooks_of_few_values",
    "compressor/test_sog_container.py",
    "compressor/test_sog_palette.py",
    "compressor/test_streamed.py",
    "compressor/test_survey_products.py",
    "compressor/test_viewpoints.py",
    "contracts/test_adding.py",
    "contracts/test_archive_contract.py",
    "contracts/test_films.py::test_whatever_is_damaged",
    "contracts/test_page_check.py::test_the_page_decides",
    "functions/test_contents.py::test_whatever_is_damaged",
    "functions/test_contents.py::test_wherever",
    "functions/test_dispatch.py::test_a_crash_at_any_call",
    "functions/test_dispatch.py::test_between_two",
    "functions/test_dispatch.py::test_fifty_jobs",
    "functions/test_dispatch.py::test_whatever_happens",
    "functions/test_estimate.py::test_what_one_scene_taught",
    "functions/test_estimate_of_job.py::test_so_are_that",
    "functions/test_large_flights.py::test_a_block_gets_time",
    "functions/test_preflight.py::test_a_zip64",
    "functions/test_preflight.py::test_an_archive_of_too_many_files",
    "functions/test_preflight.py::test_one_more",
    "functions/test_preflight.py::test_the_most_photos",
    "functions/test_sdk_requests.py",
    "functions/test_track_progress.py::test_dynamodb_itself",
    "functions/test_weigh_blocks.py::test_the_join_finds",
    "fuzz/test_fuzz.py",
    "local/test_sagemaker_jobs.py",
    "sample/test_sample_archive.py",
    "sample/test_sample_flight.py::test_farmland_has_little_contrast",
    "sample/test_sample_render.py",
    "sfm/test_clusters.py::test_clusters_merge",
    "sfm/test_sfm_blocks.py::test_a_strip",
    "sfm/test_sfm_blocks.py::test_any_part",
    "sfm/test_sfm_campaign.py",
    "sfm/test_sfm_film_frames.py",
    "sfm/test_sfm_given.py",
    "sfm/test_sfm_ingest.py",
    "sfm/test_sfm_lens.py::test_a_fisheye",
    "sfm/test_sfm_mapping.py::test_a_second_mapping",
    "sfm/test_sfm_mapping.py::test_the_second_mapping",
    "sfm/test_sfm_mapping.py::test_without_time",
    "sfm/test_sfm_model.py",
    "sfm/test_sfm_second_images.py",
    "sfm/test_sfm_stage.py",
    "splat/test_blending.py",
    "splat/test_culling.py",
    "splat/test_kernel_cache.py",
    "splat/test_moments.py",
    "splat/test_offpath.py::test_fog",
    "splat/test_photometric_loss.py",
    "splat/test_projection.py::test_gradients_agree",
    "splat/test_threading_layer.py",
    "splat/test_tiles.py",
    "stage/test_stage_inflate.py::test_a_bomb",
    "statemachine/test_day_simulation.py",
    "statemachine/test_fault_campaign.py",
    "statemachine/test_injected_bugs.py::test_a_sample",
    "statemachine/test_large_flight_size.py",
    "statemachine/test_redriven_execution.py",
    "statemachine/test_workflow.py",
    "trainer/test_bad_scenes.py",
    "trainer/test_blocks.py::test_a_block_ends",
    "trainer/test_blocks.py::test_a_block_keeps",
    "trainer/test_blocks.py::test_a_blocks_exposures",
    "trainer/test_blocks.py::test_blocks_and_what",
    "trainer/test_blocks.py::test_no_photo_is_trained_in",
    "trainer/test_blocks.py::test_the_coarse_model_lies",
    "trainer/test_densify.py::test_a_split_is",
    "trainer/test_densify.py::test_the_most_pulled",
    "trainer/test_dropout.py",
    "trainer/test_evaluate.py",
    "trainer/test_exposure.py",
    "trainer/test_farfield.py::test_the_stage",
    "trainer/test_gpu_training.py",
    "trainer/test_gsplat.py",
    "trainer/test_initialise.py",
    "trainer/test_masks.py",
    "trainer/test_optimise.py",
    "trainer/test_rasterize.py",
    "trainer/test_reproducible.py",
    "trainer/test_seeds.py",
    "trainer/test_shape.py",
    "trainer/test_stereo.py",
    "trainer/test_stereo_kernels.py",
    "trainer/test_surroundings_of_photos.py",
    "trainer/test_trainer_dataset.py",
    "trainer/test_trainer_stage.py",
    "trainer/test_virtual.py::test_a_view",
    "trainer/test_virtual.py::test_photos_and_views",
    "trainer/test_virtual.py::test_views",
    "trainer/test_warm.py",
    "trainer/test_warping.py",
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make unit` does not import what it runs nothing of: a ninth of the CPU seconds that a worker takes to begin."""
    if config.option.markexpr == "not slow" and collection_path.relative_to(UNIT).as_posix() in SLOW:
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = tuple(f"tests/unit/{slow}" for slow in SLOW)
    for item in items:
        if item.nodeid.startswith(slow) or "cloud" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")
    if os.environ.get("PYTEST_XDIST_WORKER"):  # the last file that a worker begins should be a short one
        slow_files = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: UNIT in item.path.parents and item.path not in slow_files)
