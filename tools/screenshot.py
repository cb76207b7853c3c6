"""Takes the picture of the README: csms with simulated chargers, as a browser shows it.

make screenshot
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.integration.chromium import chromium, sign_in, text_of, wait_for  # noqa: E402
from tests.integration.processes import Service  # noqa: E402
from tests.servers.daemon import free_port  # noqa: E402

PICTURE = ROOT / "docs" / "images" / "console.png"
CHARGERS = 9
SESSIONS = 6
"""As many must have charged for a while."""


def main() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        csms = Service(
            "csms",
            directory,
            {
                "CSMS_GATEWAY_PORT": str(port),
                "CSMS_GATEWAY_UNKNOWN_CHARGERS": "accept",
                "CSMS_GATEWAY_REQUIRE_PASSWORD": "no",
                "CSMS_WORKER_UNKNOWN_TOKENS": "accept",
            },
        )
        simulator = Service(
            "csms-simulator",
            directory,
            {
                "CSMS_SIMULATOR_URL": f"ws://127.0.0.1:{port}/ocpp",
                "CSMS_SIMULATOR_CHARGERS": str(CHARGERS),
                "CSMS_SIMULATOR_CONNECTORS": "1",
                "CSMS_SIMULATOR_SPEED": "60",
                "CSMS_SIMULATOR_METER_INTERVAL_S": "1",
                "CSMS_SIMULATOR_SEED": "7",
            },
        )
        try:
            csms.start()
            with chromium(1280, 1010, scale=1.25) as browser:
                sign_in(browser, csms.sign_in_link())
                simulator.launch()
                wait_for(browser, lambda: sum("kWh" in text for text in text_of(browser, "session")) >= SESSIONS)
                PICTURE.write_bytes(browser.get_screenshot_as_png())
        finally:
            simulator.terminate()
            csms.terminate()
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)} is new\n")


main()
