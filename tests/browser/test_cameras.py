# SPDX-License-Identifier: Apache-2.0
"""Cameras in a real browser: live video, a day's recordings, drawing zones; each page passes and fits the screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.browser.conftest import PASSWORD
from tests.browser.test_accessible import overflow, violations
from tests.cameras.filmed import DAY, Filmed, Player, filmed
from tests.cameras.footage import Visit, footage
from tests.conftest import DATA, pixels

from custodes.cameras.model import Camera, Sighting, Span, Spot, Zone

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HERE = "/console/cameras"
HOUR = 3_600_000
CORNERS = ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5), (0.1, 0.5))
MASK = Zone("Neighbour", ((0.75, 0.0), (1.0, 0.0), (1.0, 0.4)), Spot.MASK)
VIDEO = """(query) => {
  const video = document.querySelector(query);
  const { buffered, currentTime } = video;
  return buffered.length ? buffered.end(buffered.length - 1) - currentTime : -1;
}"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filmed]:
    """A household with cameras, and its server."""
    with filmed(tmp_path_factory.mktemp("filmed")) as made:
        yield made


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of videos."""
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def video(videos: Path) -> Path:
    """Four seconds; somebody passes."""
    return footage(videos, size=(640, 360), seconds=4.0, visits=(Visit("obama_1.jpg", 0.2, 3.8),))


@pytest.fixture(scope="module")
def door(house: Filmed) -> Camera:
    """A camera with a zone and a privacy mask."""
    return house.camera("Front door", zones=(Zone("Porch", CORNERS), MASK))


@pytest.fixture(scope="module")
def cookies(house: Filmed, browser: Browser) -> list[dict]:
    """What the browser of Ana keeps once she has signed in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(house.url + house.invitation("ana"))
    page.fill("[name=password]", PASSWORD)
    page.fill("[name=again]", PASSWORD)
    page.click("main form button.button")
    page.wait_for_url(f"{house.url}{HERE}")
    kept = context.cookies()
    context.close()
    return kept


@pytest.fixture
def ana(page: Page, cookies: list[dict]) -> Page:
    """A page of hers; its console says nothing of a policy that was broken."""
    page.context.add_cookies(cookies)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    yield page
    assert not [text for text in said if "Content Security Policy" in text]


# --- live -------------------------------------------------------------------------------------------------------------


def test_live_video_plays_close_behind_the_camera(house: Filmed, ana: Page, door: Camera, videos: Path) -> None:
    """It moves on, stays within a second of what has come, and what is masked is black from the beginning."""
    query = f"[data-live={door.id}] video"
    with Player(house, door, footage(videos, seconds=1.5)):
        ana.goto(house.url + HERE)
        ana.wait_for_function("query => document.querySelector(query).currentTime > 0.5", arg=query)
        begun = ana.evaluate("query => document.querySelector(query).currentTime", query)
        near = f"query => {{ const behind = ({VIDEO})(query); return behind >= 0 && behind <= 1; }}"
        ana.wait_for_function(near, arg=query)
        # Past the point at which the stream begins anew
        ana.wait_for_function(
            "([query, begun]) => document.querySelector(query).currentTime > begun + 2", arg=[query, begun]
        )
        ana.wait_for_function(near, arg=query)
        box = ana.locator(f"[data-live={door.id}]")
        assert box.locator(".badge").inner_text() == "Live"
        ana.wait_for_function("id => !document.querySelector(`[data-live=${id}] [data-says]`).textContent", arg=door.id)
        assert box.locator("svg.masks polygon").get_attribute("points") == "0.75,0 1,0 1,0.4"
        assert _colour(box.locator(".film"), 0.95, 0.05) == [0, 0, 0]


def _colour(film: Locator, x: float, y: float) -> list[int]:
    """Return the colour of a place of what is shown, in ratios."""
    shot = pixels(film.screenshot())
    return [int(v) for v in shot[int(y * shot.shape[0]), int(x * shot.shape[1])]]


def test_video_goes_on_when_its_size_changes(house: Filmed, ana: Page, videos: Path, video: Path) -> None:
    """A camera comes back with other pictures: the same view plays them."""
    camera = house.camera("Yard")
    small = footage(videos, size=(320, 180), seconds=3.0, seed=2)
    with Player(house, camera, video):
        ana.goto(f"{house.url}{HERE}/{camera.id}")
        ana.wait_for_function("() => document.querySelector('video').videoWidth === 640")
        ana.wait_for_function("() => /^..:..:..$/.test(document.querySelector('[data-clock]').textContent)")
    with Player(house, camera, small):
        ana.wait_for_function("() => document.querySelector('video').videoWidth === 320")
        at = ana.evaluate("document.querySelector('video').currentTime")
        ana.wait_for_function("at => document.querySelector('video').currentTime > at + 0.3", arg=at)


def test_a_camera_that_cannot_be_played_says_so(house: Filmed, ana: Page, video: Path) -> None:
    """What this browser doesn't know is shown as pictures, with a sentence; what is gone says since when, and why."""
    attic, shed = house.camera("Attic"), house.camera("Shed")
    house.record(attic, DAY, video)
    house.app.live.change(attic.id, up=True, since=DAY, mime='video/mp4; codecs="hvc1.1.6.L93.B0"')
    house.app.live.change(shed.id, up=False, since=DAY, why="unreachable")
    ana.goto(house.url + HERE)
    ana.wait_for_function("id => document.querySelector(`[data-live=${id}] img`).naturalWidth === 640", arg=attic.id)
    assert "can't play HEVC" in ana.locator(f"[data-live={attic.id}] [data-says]").inner_text()
    ana.wait_for_selector(f"[data-live={shed.id}] .badge.bad")
    assert "it can't be reached" in ana.locator(f"[data-live={shed.id}] [data-state]").inner_text()


# --- a day ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def day(house: Filmed, door: Camera, video: Path) -> str:
    """The path of 2026-11-25 of the door: video from 10:00 and from 10:01, four seconds each, and an event in it."""
    for at in (DAY + 10 * HOUR, DAY + 10 * HOUR + 60_000):
        house.record(door, at, video)
    house.move(door, Span(DAY + 10 * HOUR + 60_500, DAY + 10 * HOUR + 63_000))
    picture = (DATA / "obama_1.jpg").read_bytes()
    house.happen(door, DAY + 10 * HOUR + 61_000, picture, Sighting(1, DAY, (0.1, 0.1, 0.2, 0.2)), zone="Porch")
    return f"{HERE}/{door.id}/day/2026-11-25"


def test_a_day_plays_over_its_files_and_gaps(house: Filmed, ana: Page, day: str) -> None:
    """From file to file without a word, over what wasn't recorded, and to its end; an event is a click away."""
    ana.goto(house.url + day)
    slider = ana.get_by_role("slider")
    slider.focus()
    ana.keyboard.press("Home")
    clock = ana.locator("[data-clock]")
    ana.wait_for_function(
        "() => document.querySelector('[data-clock]').textContent.startsWith('10:00:03')"
    )  # the second file
    assert "UTC" in clock.inner_text()
    assert slider.get_attribute("aria-valuetext").endswith(", recorded")
    ana.check("[name=speed][value='4']")
    ana.wait_for_function("() => document.querySelector('[data-clock]').textContent.startsWith('10:01:0')")
    ana.wait_for_function("() => document.querySelector('[data-says]').textContent.startsWith('The end')")
    assert ana.locator("[data-play]").inner_text() == "Play"
    ana.click("[data-jump]")
    ana.wait_for_function("() => /^10:01:0[123]/.test(document.querySelector('[data-clock]').textContent)")
    slider.focus()
    ana.keyboard.press("Space")
    ana.wait_for_function("() => document.querySelector('[data-play]').textContent === 'Play'")
    ana.keyboard.press("PageUp")  # there is no video so late: to the last second that there is
    ana.wait_for_function("() => document.querySelector('[data-clock]').textContent.startsWith('10:01:03')")


def test_a_day_is_the_viewers_own(house: Filmed, browser: Browser, cookies: list[dict], day: str) -> None:
    """In Tokyo what happened at 10:01 UTC happened at 19:01, and 23:30 UTC is on the day after."""
    house.happen(house.app.cameras.get(house.caller(), "Front door"), DAY + 23 * HOUR + HOUR // 2, b"\xff\xd8")
    context = browser.new_context(timezone_id="Asia/Tokyo")
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(house.url + day)
    page.wait_for_selector("[data-jump]")
    assert page.locator(".moments li").all_inner_texts() == ["19:01:01\nSomebody unknown in Porch"]
    assert page.locator("[data-zone-name]").inner_text() == "UTC+09:00"
    page.goto(house.url + day.replace("25", "26"))
    page.wait_for_selector("[data-jump]")
    assert page.locator(".moments li").all_inner_texts() == ["08:30:00\nSomething moved"]
    context.close()


def test_a_day_plays_where_the_servers_has_no_video(
    house: Filmed, browser: Browser, cookies: list[dict], video: Path
) -> None:
    """What was recorded at 02:00 UTC is of the evening before in Los Angeles: that day plays it, the next doesn't."""
    camera = house.camera("Driveway")
    house.record(camera, DAY + 26 * HOUR, video)
    context = browser.new_context(timezone_id="America/Los_Angeles")
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(f"{house.url}{HERE}/{camera.id}/day/2026-11-25")
    page.wait_for_function("() => document.querySelector('[data-clock]').textContent.startsWith('18:00:0')")
    page.wait_for_function("() => document.querySelector('video').videoWidth === 640")
    assert page.locator("[data-film]").is_visible()
    assert not page.locator("[data-empty]").is_visible()
    assert page.locator("[data-clip-told]").inner_text() == "From 18:00:00 to 18:00:04: 4 seconds."
    page.goto(f"{house.url}{HERE}/{camera.id}/day/2026-11-26")
    page.wait_for_selector("[data-empty]")
    assert not page.locator("[data-film]").is_visible()
    assert not page.locator("[data-clip]").is_visible()
    context.close()


def test_a_day_fits_a_small_window(house: Filmed, browser: Browser, cookies: list[dict], day: str) -> None:
    """Video, its buttons and the slider are seen at once, at 1280 by 900."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(house.url + day)
    page.wait_for_function("() => document.querySelector('video').videoWidth === 640")
    assert page.evaluate("window.scrollY") == 0
    film, slider = page.locator("[data-film]").bounding_box(), page.get_by_role("slider").bounding_box()
    assert slider["y"] + slider["height"] <= 900
    assert film["height"] > 400
    context.close()


# --- zones ------------------------------------------------------------------------------------------------------------


def test_zones_are_drawn_with_mouse_and_keyboard(house: Filmed, ana: Page, video: Path) -> None:
    """A corner is dragged, moved by arrows, added and removed; a new mask is added and another zone goes."""
    camera = house.camera("Patio", zones=(Zone("Bed", CORNERS), Zone("Path", CORNERS)))
    house.record(camera, DAY, video)
    ana.goto(f"{house.url}{HERE}/{camera.id}/zones")
    corner = ana.get_by_role("button", name="Corner 1 of Bed")
    box = ana.locator("[data-canvas]").bounding_box()
    corner.hover()
    ana.mouse.down()
    ana.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.2 * box["height"])
    ana.mouse.up()
    corner.focus()
    ana.keyboard.press("ArrowRight")
    ana.keyboard.press("Shift+ArrowDown")
    ana.keyboard.press("Insert")
    assert ana.locator(".corner").count() == 5
    ana.keyboard.press("Delete")
    assert ana.locator(".corner").count() == 4
    ana.locator("fieldset.zone").nth(1).get_by_label("Remove it").check()
    ana.click("[data-add=mask]")
    ana.keyboard.type("Pool")
    ana.click("[data-add=mask]")
    ana.click("text=Keep zones and masks")
    ana.wait_for_selector(".flash.done")
    bed, pool, other = house.app.cameras.get(house.caller(), camera.id).zones
    assert other.name == "Mask 1"
    assert other.points[0] != pool.points[0]  # neither lies on the other
    assert (bed.name, pool.name, pool.spot) == ("Bed", "Pool", Spot.MASK)
    assert bed.points[0] == pytest.approx((0.255, 0.25), abs=0.006)
    assert bed.points[1:] == CORNERS[1:]


# --- all pages --------------------------------------------------------------------------------------------------------


def test_every_page_of_cameras_can_be_used_by_everybody(
    house: Filmed, browser: Browser, cookies: list[dict], door: Camera, day: str
) -> None:
    """By axe-core nothing serious is wrong, on a dark phone and on a light desk, and none is wider than the screen."""
    event = house.app.sightings.list(house.caller(), (door.id,))[-1].id
    own = (f"{HERE}/{door.id}{tail}" for tail in ("", "/zones", "/settings"))
    paths = (HERE, *own, day, *(f"{HERE}/{tail}" for tail in ("events", f"events/{event}", "people", "storage", "new")))
    wrong = {}
    for scheme, (width, height) in {"light": (1280, 900), "dark": (390, 844)}.items():
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        context.add_cookies(cookies)
        page = context.new_page()
        for path in paths:
            answer = page.goto(house.url + path)
            assert answer.status == 200, path
            found = overflow(page)
            if scheme == "light":
                found += violations(page)
            elif path in (HERE, day, f"{HERE}/events/{event}"):  # all that has colours of its own
                found += violations(page, ("color-contrast", "link-in-text-block", "target-size"))
            if found:
                wrong[scheme, path] = found
        context.close()
    assert wrong == {}
