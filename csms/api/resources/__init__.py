"""What /api/v1 offers, a module for each kind of resource: its operations and what they do.

``registry`` lists them all.
"""
