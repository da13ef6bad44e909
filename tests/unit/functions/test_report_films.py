"""The report's section on films: which seconds are in the scene."""

from __future__ import annotations

from deliver.films import films_section, gaps
from deliver.report import PhotoLine


def frame(film: str, seconds: float, used: bool = True) -> PhotoLine:
    return PhotoLine(name=f"{film} at {seconds}", used=used, film=film, seconds=seconds)


def test_photos_alone_have_no_film() -> None:
    assert films_section([PhotoLine(name="DJI_0001.JPG", used=True)]) == ""


def test_the_seconds_that_were_used_and_those_that_were_not_are_said() -> None:
    lines = [frame("flight.mp4", k, used=k not in (3, 4, 7)) for k in range(10)]
    page = films_section(lines)
    assert "7 of 10 frames" in page
    assert "from 0:00.0 to 0:09.0" in page
    assert "Not placed: 0:03.0 to 0:04.0, 0:07.0 to 0:07.0" in page
    assert page.count("<rect") == 10
    assert page.count('opacity="0.25"') == 3


def test_each_film_has_its_own_strip_under_its_own_name() -> None:
    page = films_section([frame("<b>.mp4", 1), frame("a.mp4", 2), frame("<b>.mp4", 0)])
    assert page.count("<svg") == 2
    assert "&lt;b&gt;.mp4" in page
    assert "from 0:00.0 to 0:01.0" in page


def test_frames_that_follow_each_other_are_one_gap() -> None:
    frames = [frame("a", k, used) for k, used in enumerate([False, False, True, False])]
    assert gaps(frames) == [(0, 1), (3, 3)]
