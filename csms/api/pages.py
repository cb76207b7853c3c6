"""The pages that are there without the console: sign-in, no access, console not built. No scripts, nothing inline."""

from __future__ import annotations

STYLE_PATH = "/sign-in/style.css"
ICON_PATH = "/sign-in/icon.svg"

ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0f9d6b"/>\
<path d="M18 4 8 18h7l-2 10 11-15h-7z" fill="#fff"/></svg>
"""

STYLE = """\
:root { color-scheme: light dark; --text: #1c2024; --soft: #60646c; --back: #f4f5f7; --card: #fff; --accent: #0b7a5f; }
@media (prefers-color-scheme: dark) {
  :root { --text: #edeef0; --soft: #b0b4ba; --back: #111315; --card: #1b1e21; --accent: #2fb593; }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--back);
}
main {
  width: min(32rem, 100%); padding: 2rem; border-radius: 14px; background: var(--card);
  box-shadow: 0 1px 2px rgb(0 0 0 / 12%), 0 8px 28px rgb(0 0 0 / 8%);
}
h1 { margin: 0 0 .75rem; font-size: 1.35rem; }
p { margin: 0 0 1rem; color: var(--soft); }
p:last-child, form { margin-bottom: 0; }
code { padding: .15em .4em; border-radius: 5px; background: var(--back); color: var(--text); }
button {
  width: 100%; padding: .75rem 1rem; border: 0; border-radius: 9px; cursor: pointer;
  font: inherit; font-weight: 600; color: #fff; background: var(--accent);
}
label { display: block; margin: 0 0 .75rem; color: var(--soft); }
input {
  width: 100%; padding: .6rem .75rem; border: 1px solid var(--soft); border-radius: 9px;
  font: inherit; color: var(--text); background: var(--back);
}
form + p { margin-top: 1.5rem; }
input:focus-visible, button:focus-visible { outline: 3px solid var(--text); outline-offset: 2px; }
@media (prefers-color-scheme: dark) { button { color: #06231b; } }
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} - csms</title>
<link rel="icon" href="{icon}" type="image/svg+xml">
<link rel="stylesheet" href="{style}">
</head>
<body><main>
<h1>{title}</h1>
{body}
</main></body>
</html>
"""


def _page(title: str, body: str) -> bytes:
    return _PAGE.format(title=title, body=body, style=STYLE_PATH, icon=ICON_PATH).encode()


_NEW_LINK = (
    "<p>Without a password: run <code>csms-admin sign-in-link</code> on the machine where csms runs. "
    "Each link works once, for a limited time.</p>"
)

SIGN_IN = _page(
    "Sign in to csms",
    "<p>This link works once. Use it in the browser that you want to work with.</p>"
    '<form method="post"><button type="submit">Sign in</button></form>',
)
BAD_LINK = _page("This link does not work", "<p>It was used before, or its time is over.</p>" + _NEW_LINK)
_WITH_PASSWORD = (
    '<form method="post" action="/sign-in">'
    '<label>Name<input name="name" required autocomplete="username" autocapitalize="none" maxlength="64"></label>'
    '<label>Password<input name="password" type="password" required autocomplete="current-password"></label>'
    '<button type="submit">Sign in</button></form>'
)
SIGNED_OUT = _page("Sign in to csms", _WITH_PASSWORD + _NEW_LINK)
WRONG_PASSWORD = _page(
    "That was not right", "<p>There is no such name, or it has another password.</p>" + _WITH_PASSWORD
)
WAIT = _page("Too many tries", "<p>Wait a few minutes, then try again.</p>" + _WITH_PASSWORD)
NOT_BUILT = _page(
    "The console is not built yet",
    "<p>Run <code>make console</code> in the source tree of csms, then load this page again. "
    "It needs Node.js, or brings its own by <code>pip install csms[console]</code>.</p>"
    "<p>Everything else works without it: chargers, <code>/api/v1</code>, <code>/events</code>.</p>",
)
UNAVAILABLE = _page(
    "Please wait a moment", "<p>csms cannot reach its database now. Load this page again in a while.</p>"
)
FOREIGN = _page(
    "Not from here",
    "<p>Another website sent this form, or csms is reached by an address that it does not know as its own: "
    "then set <code>public_url</code> in the section <code>[http]</code> of tap.conf.</p>",
)
