"""The delivered page on a phone: a thumb on the joystick flies. A separate browser, because Playwright runs one at a
time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from compressor.deliver.limits import Limits
from compressor.deliver.viewer import BUNDLE, Journey, Page, write_page
from compressor.sog.container import pack_files, zip_files
from tests.support.browser import PHONE as SCREEN
from tests.support.browser import axe, chromium, look, met, needs_chromium
from tests.support.slabs import slabs
from tests.support.splats import village_surroundings
from tests.support.streaming import PHONE

pytestmark = needs_chromium

UP, EYE, TARGET = np.array([0.0, 0.0, 1.0]), np.array([2.1, -3.2, 2.6]), np.array([0.0, 0.0, 0.3])
STILL_FRAMES = 12
POSE = """(() => {
    const { entity } = spaceport.viewer.app.root.findComponent('camera');
    return ['x', 'y', 'z'].flatMap((axis) => [entity.getPosition()[axis], entity.forward[axis]]);
})()"""


def rests(page: Any) -> list[float]:
    """The camera, once it has not moved for some frames or no frame is drawn any more."""
    frame = "spaceport.viewer.app.frame"
    last, at, looks = page.evaluate(POSE), page.evaluate(frame), 0

    def still() -> bool:
        nonlocal last, at, looks
        now, drawn = page.evaluate(POSE), page.evaluate(frame)
        if now != last:
            last, at, looks = now, drawn, 0
        looks += 1
        return bool(drawn >= at + STILL_FRAMES or looks > 60)

    met(page, still, 120_000, what="the camera did not come to rest")
    return list(last)


def test_a_thumb_on_the_joystick_flies_and_lets_go(tmp_path: Path) -> None:
    limits = Limits(nearest=0.1, farthest=50, lowest=None, clearance=0, margin=50)
    content = Page(
        "Yard", Journey([EYE, -EYE], TARGET, 50.0, seconds=10), village_surroundings(UP), limits, metric=True
    )
    write_page(tmp_path / "index.html", BUNDLE, zip_files(pack_files(slabs())), content)
    with chromium(tmp_path / "phone", SCREEN["width"], SCREEN["height"], **PHONE) as phone:
        page = phone.new_page()
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(f"{(tmp_path / 'index.html').as_uri()}?noanim")
        page.wait_for_function("document.documentElement.dataset.loaded === 'true'", timeout=120_000)
        page.wait_for_timeout(900)  # the poster fades
        assert page.is_hidden("#stick")
        page.tap("#fly")
        page.wait_for_selector("#stick")
        before = rests(page)

        touch = phone.new_cdp_session(page)

        def finger(kind: str, x: float = 0, y: float = 0) -> None:
            points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        def moved(over: float) -> bool:
            return bool(np.linalg.norm(np.subtract(page.evaluate(POSE), before)[::2]) > over)

        box = page.locator("#stick").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        finger("touchStart", x, y)
        finger("touchMove", x, y - 40)
        met(page, lambda: moved(0.2), 60_000, what="the joystick moves nothing")
        look(page, "joystick-phone", tmp_path)
        assert axe(page) == []
        finger("touchEnd")
        after = rests(page)
        step = np.subtract(after, before)[::2]
        assert step @ before[1::2] > 0.95 * np.linalg.norm(step), "forward, where the camera looks"
        assert page.evaluate("document.querySelector('#stick i').style.translate") in ("0% 0%", "0%")

        finger("touchStart", x, y)
        finger("touchMove", x + 40, y)
        met(page, lambda: abs(np.subtract(page.evaluate(POSE), after)[::2]).max() > 0.1, 60_000)
        page.evaluate("spaceport.viewer.state.cameraMode = 'orbit'")  # a held stick keeps flying only in fly mode
        page.wait_for_selector("#stick", state="hidden")
        rests(page)
        finger("touchEnd")
        assert page.get_attribute("#fly", "aria-pressed") == "false"
        page.tap("#ask")
        look(page, "help-phone", tmp_path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= SCREEN["width"]
        assert failures == []
        page.close()
