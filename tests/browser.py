"""A browser without a window, for tests of what a reader sees."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).parents[1]
PROGRAMS = ("chromium", "chromedriver")
INSTALL_S = 300


class Browser:
    """One tab of Debian's chromium.

    Parameters
    ----------
    driver:
        Selenium's side of it.
    """

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def resize(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Give the page a width in pixels, which a window cannot be made as narrow as."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, page: Path, fragment: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get(page.as_uri() + fragment)

    def run(self, script: str, *arguments: object) -> Any:
        """Return what a function's body in JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def settle(self) -> None:
        """Wait until events that were caused have been handled, and what came of it is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => done())))"
        )

    def errors(self) -> list[str]:
        """What the console has said since this was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since this was last asked."""
        messages = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser, installing Debian's packages if need be."""
    paths = _programs()
    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    # The sandbox refuses to be root; containers have a small /dev/shm.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(paths[1]))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def _programs() -> list[str]:
    if not all(map(shutil.which, PROGRAMS)):
        done = subprocess.run(
            [ROOT / "setup" / "packages.sh", "--tests"],
            check=False, capture_output=True, text=True, timeout=INSTALL_S,
        )  # fmt: skip
        if not all(map(shutil.which, PROGRAMS)):
            pytest.skip(
                "chromium is missing, and setup/packages.sh --tests cannot install it here: "
                + (done.stderr.strip().splitlines() or ["no message"])[-1]
            )
    return [path for path in map(shutil.which, PROGRAMS) if path]
