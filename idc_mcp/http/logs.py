"""Standard error as lines of JSON, one an event: requests, warnings, start and stop."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idc_mcp.http.exchanges import Exchange

LONGEST = 2_000
"""Characters of one value; a longer one is cut and says so."""

_events = logging.getLogger("idc_mcp.events")


def log_as_json() -> None:
    """Send every record of this process to standard error in this form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    _events.setLevel(logging.INFO)
    logging.captureWarnings(True)


def tell(event: str, **fields: Any) -> None:
    """Log an event with its fields; nothing where lines of JSON are not asked for."""
    if _events.isEnabledFor(logging.INFO):
        _events.info(event, extra={"fields": fields})


def tell_request(exchange: Exchange) -> None:
    """Log a request that is over."""
    tell(
        "request",
        client=exchange.client,
        method=exchange.method or None,
        tool=exchange.tool or None,
        status=exchange.status,
        outcome=exchange.outcome,
        problem=exchange.refused or exchange.problem or None,
        ms=round(exchange.seconds * 1e3, 1),
        bytes_in=exchange.taken,
        bytes_out=exchange.sent,
        request=exchange.request,
        asked=exchange.asked or None,
    )


class JsonLines(logging.Formatter):
    """A record as one line: whatever a caller put into it, JSON's escapes keep it one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        fields = getattr(record, "fields", None)
        if fields is None:
            line |= {"event": "message", "from": record.name, "message": record.getMessage()}
            if record.exc_info:
                line["trace"] = self.formatException(record.exc_info)
        else:
            line |= {"event": record.getMessage(), **fields}
        return json.dumps({key: _cut(value) for key, value in line.items() if value is not None})


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}… ({len(value) - LONGEST} more characters)"
    return value
