"""Links into the results: a splat is saved under its scene's name, whatever characters that contains."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliver.deliver import DELIVERED
from domain.links import Links, attachment

# what browsers show or programs read, and so is not saved under the scene's name
SHOWN = {".html", ".png", ".jpg", ".webp", ".json", ".gz"}
URI = "s3://results/jobs/meadow-0123456789ab"


def test_a_splat_is_saved_under_the_name_of_its_scene_and_a_page_opens() -> None:
    s3 = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    uris = {"scene.ply": f"{URI}/scene.ply", "report.html": f"{URI}/report.html"}
    links = Links(s3, "results", 3600).of_job("meadow-0123456789ab", uris, "Große Wiese")
    asked = {name: parse_qs(urlsplit(url).query) for name, url in links.items()}
    (said,) = asked["scene.ply"]["response-content-disposition"]
    assert said == "attachment; filename=\"Gro_e Wiese.ply\"; filename*=UTF-8''Gro%C3%9Fe%20Wiese.ply"
    assert "response-content-disposition" not in asked["report.html"]


@pytest.mark.parametrize("name", [name for name in DELIVERED if PurePosixPath(name).suffix not in SHOWN])
def test_what_no_browser_shows_is_saved_under_a_name_of_its_own(name: str) -> None:
    s3 = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    uris = {each: f"{URI}/{each}" for each in DELIVERED}
    links = Links(s3, "results", 3600).of_job("meadow-0123456789ab", uris, "Meadow")
    (said,) = parse_qs(urlsplit(links[name]).query)["response-content-disposition"]
    saved = said.partition("UTF-8''")[2]
    assert unquote(saved).startswith("Meadow")
    assert PurePosixPath(saved).suffix == PurePosixPath(name).suffix
    assert sum(saved in url for url in map(unquote, links.values())) == 1


@given(st.text(max_size=80))
def test_a_file_name_stays_within_its_quotes_and_comes_back_whole(name: str) -> None:
    header = attachment(name.encode("utf-8", "replace").decode())
    plain = header.removeprefix('attachment; filename="').partition('"; filename*')[0]
    assert header.isascii()
    assert not set(plain) & set('"\\\r\n/')
    assert unquote(header.partition("UTF-8''")[2]) == name.encode("utf-8", "replace").decode()
