"""HTTP: the console, sign-in, REST, health and metrics. Klein lives here and nowhere else.

- ``service``: listens and stops in good order; what the composition roots use. ``access.create_sign_in_link``, too.
- ``site``: what every request passes: limits, security headers, the sign-in, the origin, the way to /events.
- ``access``: sign-in links, sessions and their cookie. ``origins``: whose pages may open /events and write.
- ``routes``: which URL does what. ``queries``: what the REST routes read. ``views``: the JSON they answer.
- ``parameters``: query strings, checked. ``problems``: errors as RFC 9457 problem details.
- ``health``: /health and /metrics. ``console``: the built console's files. ``pages``: the few pages without it.
"""
