"""A headless Chromium; tests skip with the reason where there is none, and fail where ``MASTSIM_SITE`` asks for one."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

WIDTHS = {"desk": 1280, "phone": 390}
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage")


@pytest.fixture(scope="session")
def site():
    """Return the folder with the built site."""
    folder = os.environ.get("MASTSIM_SITE")
    if folder is None:
        pytest.skip("MASTSIM_SITE names no built site (make site-check builds one)")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def served(site):
    """Serve the site on this machine, and return its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def missing():
    """Return why no browser can be started, or None."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt-get install chromium chromium-driver)"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed (pip install 'mastsim[browser]')"
    return None


@pytest.fixture(scope="session")
def driver():
    """Return a headless Chromium that keeps what its console said."""
    if (why := missing()) is not None:
        (pytest.fail if "MASTSIM_SITE" in os.environ else pytest.skip)(why)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield browser
    browser.quit()


@pytest.fixture(params=WIDTHS)
def browser(driver, request):
    """Return the browser at the width of a desk, then of a phone."""
    size = {"width": WIDTHS[request.param], "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.width = WIDTHS[request.param]
    driver.get_log("browser")
    return driver


@pytest.fixture
def judged():
    """Return what every page must be: silent, no wider than the window, its mathematics drawn."""

    def judge(browser):
        faults = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        assert faults == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= browser.width
        sizes = browser.execute_script(
            "return [...document.querySelectorAll('math')].filter(m => m.checkVisibility())"
            ".map(m => m.getBoundingClientRect()).map(box => [box.width, box.height])"
        )
        assert all(width > 0 and height > 0 for width, height in sizes)
        return len(sizes)

    return judge
