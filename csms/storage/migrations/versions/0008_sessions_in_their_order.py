"""a charger's and a token's newest sessions, along an index

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_charging_sessions_charger", "charging_sessions", ["charger_id", "id"])
    op.create_index("ix_charging_sessions_token", "charging_sessions", ["id_token_key", "id"])
