"""A real browser: headless Chromium by its own driver, both Debian's."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_S = 30.0


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise AssertionError(f"{name} is missing: it is in Debian's package {package} (make test installs it)")
    return found


@contextmanager
def chromium(width: int, height: int, scale: float = 1.0) -> Iterator[Chrome]:
    """A browser with a window of that many CSS pixels and an empty profile."""
    options = ChromeOptions()
    options.binary_location = _program("chromium", "chromium")
    service = ChromeService(_program("chromedriver", "chromium-driver"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}", f"--force-device-scale-factor={scale}"):
            options.add_argument(flag)
        browser = Chrome(options=options, service=service)
        try:
            # Headless windows are no narrower than 500 pixels; phones are.
            metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            yield browser
        finally:
            browser.quit()


def wait_for(browser: Chrome, what: Callable[[], object]) -> None:
    """Wait until ``what()`` is true; an error of it means not yet."""
    WebDriverWait(browser, PATIENCE_S, poll_frequency=0.1, ignored_exceptions=(Exception,)).until(lambda _: what())


def sign_in(browser: Chrome, link: str) -> None:
    """Open the link and press its button, as a person does."""
    browser.get(link)
    browser.find_element(By.TAG_NAME, "button").click()
    wait_for(browser, lambda: text_of(browser, "link") == ["live"])


def text_of(browser: Chrome, test_id: str) -> list[str]:
    """The texts of all elements with ``data-testid``."""
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, f"[data-testid={test_id}]")]
