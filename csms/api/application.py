"""Klein's application, made to refuse what it would let pass in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klein import Klein
from werkzeug.routing import BaseConverter


class NameConverter(BaseConverter):
    """``<name:...>``: whatever is left of the path. A slash that was escaped in the URL is a slash here."""

    regex = ".+"
    part_isolating = False


class Application(Klein):
    """Routes have different names.

    Klein keeps the functions by name: of two functions that are called alike the later would answer both URLs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.url_map.converters["name"] = NameConverter

    def route(self, url: str, *arguments: Any, **keywords: Any) -> Callable[[Any], Any]:
        """Add a route; raises ValueError for a name that is taken."""
        add = super().route(url, *arguments, **keywords)

        def decorate(function: Callable[..., Any]) -> Any:
            name = keywords.get("endpoint", function.__name__)
            if name in self.endpoints:
                raise ValueError(f"{url}: there is a route that is called {name} already")
            return add(function)

        return decorate
