"""Configuration: option > environment > tap.conf > default, into frozen dataclasses. Pure.

- ``settings``: every setting, once: its name, type, default and meaning.
- ``loading``: reads them from the command line's options, the environment and an INI file; errors name the setting.
"""
