"""How identifiers of DICOM and IDC are written, as regular expressions."""

from __future__ import annotations

import re

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""A crdc_series_uuid."""

UID = re.compile(r"[0-9]+(?:\.[0-9]+){2,}")
"""A DICOM unique identifier (PS3.5 section 9): those made of a UUID have two dots only (2.25.…)."""
