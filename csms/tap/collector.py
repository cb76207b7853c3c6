"""Python's garbage collector, told what there is to look for."""

from __future__ import annotations

import gc

_YOUNG = 20_000
_GENERATIONS = (20, 50)


async def spare_collector() -> None:
    """To be called when everything is there: what has come so far stays, and is not looked through any more.

    As it comes, the collector starts whenever 700 more objects were made than freed, and every hundredth time it goes
    through all that there are. A storm of chargers makes many that stay, and few objects of csms need it to be freed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *_GENERATIONS)
