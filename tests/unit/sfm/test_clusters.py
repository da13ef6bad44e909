"""A large flight mapped in clusters: as complete and as accurate as mapped in one piece, and within the same time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray

from benchmarks.matched_flight import FOCAL, write_matched_flight
from benchmarks.sfm_truth import aligned
from sfm.clusters import Clusters, Journal, fell_apart, hold_lenses, map_in_clusters, one_cluster
from sfm.mapping import Mapper, map_scene

IN_ONE, IN_FOUR = Clusters(min_flight=101), Clusters(min_flight=100, photos=40, overlap=20)


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.float64]]:
    database = tmp_path_factory.mktemp("flight") / "colmap.db"
    return database, write_matched_flight(database, 100)


def error(folder: Path, centres: NDArray[np.float64]) -> float:
    """Mean error of the camera centres in metres."""
    images = [image for image in pycolmap.Reconstruction(folder).images.values() if image.has_pose]
    true = np.array([centres[int(image.name[:4])] for image in images])
    errors, _, _ = aligned(np.array([image.projection_center() for image in images]), true)
    return float(errors.mean())


def test_clusters_merge_to_the_model_that_mapping_in_one_finds(
    flight: tuple[Path, NDArray[np.float64]], tmp_path: Path
) -> None:
    """Straight down, with EXIF's focal length 6 % off: clusters that each estimate their own lens do not merge here."""
    database, centres = flight
    found = {}
    for name, clusters in {"one": IN_ONE, "four": IN_FOUR}.items():
        copy = tmp_path / f"{name}.db"
        copy.write_bytes(database.read_bytes())
        (tmp_path / name).mkdir()
        shares: list[float] = []
        mapped = map_scene(copy, tmp_path / name, 100, 2, math.inf, shares.append, clusters)
        assert [len(names) for names in mapped.models] == [100]
        assert not mapped.cut_short
        assert all(before <= after for before, after in itertools.pairwise(shares))
        found[name] = error(tmp_path / name, centres)
    assert (tmp_path / "four" / "every" / "all").is_dir()
    assert not (tmp_path / "one" / "every" / "all").exists()
    assert found["four"] < 1.2 * found["one"]


def test_clusters_that_run_out_of_time_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """COLMAP's limit is in whole seconds, and a small cluster may need less than one, so COLMAP is replaced here."""
    limits = []

    def play(_database: Path, _images: Path, _folder: Path, options: pycolmap.HierarchicalPipelineOptions) -> object:
        limits.append(options.incremental_options.max_runtime_seconds)
        pycolmap.logging.info("Reached maximum runtime of 40 seconds.")
        return {}

    monkeypatch.setattr(pycolmap, "hierarchical_mapping", play)
    options = pycolmap.IncrementalPipelineOptions()
    found = map_in_clusters(
        tmp_path / "colmap.db", tmp_path / "all", options, IN_FOUR, 100, 2, 100.0, lambda _share: None
    )
    assert found == ([], True)
    assert limits == [40]  # three clusters on two workers: two rounds of 80 seconds


def test_one_cluster_is_a_neighbourhood(flight: tuple[Path, NDArray[np.float64]]) -> None:
    database, centres = flight
    chosen = [int(name[:4]) for name in one_cluster(database, 20)]
    assert len(set(chosen)) == 20
    around = centres[chosen]
    assert np.ptp(around, axis=0)[:2].prod() < 0.5 * np.ptp(centres, axis=0)[:2].prod()
    assert len(one_cluster(database, 1000)) == 100


def test_lenses_are_held_only_where_each_is_known(flight: tuple[Path, NDArray[np.float64]]) -> None:
    database, _ = flight
    for learnt, refined in ((set[int](), True), ({1}, False)):
        options = pycolmap.IncrementalPipelineOptions()
        hold_lenses(database, options, learnt)
        assert set(options.constant_cameras) == learnt
        assert options.mapper.abs_pose_refine_focal_length is refined


def part(photos: Iterable[int]) -> pycolmap.Reconstruction:
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", FOCAL, 800, 600)
    model.add_camera_with_trivial_rig(camera)
    for index in photos:
        image = pycolmap.Image(name=f"{index}.jpg", camera_id=1, image_id=index + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d())
    return model


def test_parts_that_pairs_connect_fell_apart_and_two_sites_did_not(
    flight: tuple[Path, NDArray[np.float64]], tmp_path: Path
) -> None:
    database, _ = flight
    assert fell_apart(database, [part(range(60)), part(range(50, 100))], 40)
    assert not fell_apart(database, [part(range(98)), part(range(96, 100))], 40)
    assert not fell_apart(database, [], 40)
    sites = tmp_path / "sites.db"
    sites.write_bytes(database.read_bytes())
    with pycolmap.Database.open(sites) as opened:
        pair_ids, _ = opened.read_two_view_geometry_num_inliers()
        for first, second in map(pycolmap.pair_id_to_image_pair, pair_ids):
            if (first <= 60) != (second <= 60):
                opened.delete_two_view_geometry(first, second)
    assert not fell_apart(sites, [part(range(60)), part(range(60, 100))], 40)
    assert not fell_apart(sites, [part(range(60))], 40)


def test_a_cluster_without_any_model_fell_apart_and_single_photos_did_not(
    flight: tuple[Path, NDArray[np.float64]],
) -> None:
    database, _ = flight
    assert fell_apart(database, [part(range(70))], 40)
    assert not fell_apart(database, [part(range(90))], 40)
    scattered = part([number for number in range(100) if number % 4])
    assert not fell_apart(database, [scattered], 80)


@pytest.mark.parametrize(
    ("in_clusters", "in_one", "found"),
    [([60, 40], [100], [100]), ([60, 40], [9], [60, 40]), ([], [70], [70]), ([60, 40], [], [60, 40])],
)
def test_of_clusters_that_fell_apart_and_mapping_in_one_the_larger_stays(
    flight: tuple[Path, NDArray[np.float64]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_clusters: list[int],
    in_one: list[int],
    found: list[int],
) -> None:
    """Clusters may have left little time for mapping in one piece."""

    def models(sizes: list[int]) -> list[pycolmap.Reconstruction]:
        return [part(range(sum(sizes[:at]), sum(sizes[: at + 1]))) for at in range(len(sizes))]

    monkeypatch.setattr(Mapper, "_in_clusters", lambda *_given: (models(in_clusters), False))
    monkeypatch.setattr(Mapper, "_in_one", lambda *_given: models(in_one))
    mapper = Mapper(flight[0], 100, 1, 800, IN_FOUR)
    ranked, cut_short = mapper.ranked(tmp_path, math.inf, lambda _share: None)
    assert [model.num_reg_images() for model in ranked] == found
    assert not cut_short


def test_the_journal_counts_photos_of_whole_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.look() == 0.0
    log = tmp_path / "log.1"
    log.write_text("I1 a.cc:1]   Cluster 1 with 3 images\nI1 a.cc:1]   Cluster 2 with 5 images\nI1 a.cc:2] Regist")
    assert journal.look() == 0.0
    with log.open("a") as stream:
        stream.write("ering image #4 (num_reg_frames=1)\nI1 a.cc:2] Registering image #5 (num_reg_frames=2)\n")
    assert journal.look() == 0.25
    assert not journal.cut_short
    with log.open("a") as stream:
        stream.write("I1 a.cc:3] Reached maximum runtime of 9 seconds\n")
    journal.look()
    assert journal.cut_short


def test_the_journal_has_all_that_was_logged_when_it_ends(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.kept():
        pycolmap.logging.info("  Cluster 1 with 2 images")
        pycolmap.logging.info("Registering image #4 (num_reg_frames=1)")
        pycolmap.logging.info("Reached maximum runtime of 9 seconds.")
    assert journal.look() == 0.5
    assert journal.cut_short
    pycolmap.logging.warning("Reached maximum runtime of another mapping")
    assert journal.look() == 0.5
