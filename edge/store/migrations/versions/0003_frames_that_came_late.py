"""frames that came late give way: which they are, and the index that claims use"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What waits already counts as fresh: it is in its order, as before.
    op.execute("ALTER TABLE frames ADD COLUMN late BOOLEAN NOT NULL DEFAULT 0")
    op.drop_index(op.f("ix_frames_state_pk"), "frames")
    op.create_index(op.f("ix_frames_state_late_pk"), "frames", ["state", "late", "pk"])


def downgrade() -> None:
    op.drop_index(op.f("ix_frames_state_late_pk"), "frames")
    op.create_index(op.f("ix_frames_state_pk"), "frames", ["state", "pk"])
    op.execute("ALTER TABLE frames DROP COLUMN late")
