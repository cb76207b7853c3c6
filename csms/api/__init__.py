"""HTTP: the console, sign-in, REST, health and metrics. Klein lives here and nowhere else.

- ``service``: listens and stops in good order; what the composition roots use. ``access.create_sign_in_link``, too.
- ``site``: what every request passes: limits, security headers, the sign-in, the origin, the way to /events.
- ``access``: sign-in links, sessions and their cookie. ``origins``: whose pages may open /events and write.
- ``routes``: which URL does what. ``operations``: a row for each route of /api/v1, from which all else is made.
- ``resources``: the operations. ``queries``: what they read. ``views``: the JSON they answer.
- ``services``: what operations work with. ``openapi``, ``reference``: the operations told to programs, and to people.
- ``parameters``: query strings and bodies, checked. ``problems``: errors as RFC 9457 problem details.
- ``health``: /health and /metrics. ``console``: the built console's files. ``pages``: the few pages without it.
"""
