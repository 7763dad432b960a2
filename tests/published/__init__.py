"""A stand-in for what IDC publishes beside the bundled catalogue: its tables, and who serves them.

The real ones cannot be had without a network. These have the columns and types of the bundled
schemas and the SeriesInstanceUIDs and PatientIDs of the bundled index; the rest is invented.
"""

from tests.published.clinical import make_clinical, publish
from tests.published.kept import clinical_bucket, published_small
from tests.published.server import Publisher
from tests.published.tables import make_tables

__all__ = [
    "Publisher", "clinical_bucket", "make_clinical", "make_tables", "publish", "published_small",
]  # fmt: skip
