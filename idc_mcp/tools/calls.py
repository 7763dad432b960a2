"""What a running call may ask of its client: whether it still waits, to hear how far it is, a yes.

A core function is plain and runs in a worker thread. It reaches the call that it serves through
a context variable, which `tools/strict.py` sets and anyio copies to the thread; outside a call
(the command line, a benchmark) nothing is sent and nobody is asked.

Over HTTP this server answers with one JSON body, without sessions. That body has no room for
notifications, so `report` is silent there in both eras: long work is followed by another call that
asks how far it is. (Streams instead would carry progress, but cost every call a few ms more
and refuse clients that accept JSON only.) A question is a result since 2026-07-28 and so asked over
HTTP too; older clients cannot be asked there.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.from_thread
from mcp.server.mcpserver import Context
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequests,
    InputRequiredResult,
)
from mcp_types.version import is_version_at_least

ANSWER_S = 300.0
"""How long a person may take to answer while the call waits (the era of `initialize`)."""

PROGRESS_EVERY_S = 0.2
"""The least time between two notifications of progress; the newest is never lost."""

PROGRESS_WAIT_S = 1.0
"""A client that does not take a notification within this gets no more of them."""

ASKS_BY_RESULT = "2026-07-28"
"""From this revision on a question is a result, and its answer comes with a second call."""

CONFIRM_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "confirm": {
            "type": "boolean",
            "title": "Go ahead",
            "description": "true to go ahead, false to leave everything as it is",
            "default": False,
        }
    },
    "required": ["confirm"],
}


def cancellation() -> threading.Event | None:
    """Set when the client has cancelled the call that is running; None outside a call."""
    call = _CALL.get()
    return call.cancelled if call else None


def report(done: float, total: float | None = None, message: str = "") -> None:
    """Tell the client how far the call is, if it asked to hear that.

    To be called from the thread in which the core runs, as often as is convenient: what comes
    too soon after the last is kept and sent later or replaced, and what does not go forward is
    dropped. It never fails, and waits `PROGRESS_WAIT_S` at most, once.
    """
    if call := _CALL.get():
        call.report(done, total, message)


def confirmed(question: str) -> bool | None:
    """Whether the user says yes: True, or False for a no or a dismissal; None: nobody to ask.

    None means that the client offers no way to ask (it declares no elicitation of form mode, or
    the transport carries no question), refuses, or has not answered within `ANSWER_S`. Only an
    accepted form with `confirm` true is a yes. A call that the client cancels gets False.

    For clients since 2026-07-28 the core is left here and run again from its start when the
    answer is there, so all that it does before must be harmless to repeat, and the question must
    read the same as long as the same is asked: an answer counts for its very words only.
    """
    call = _CALL.get()
    return call.confirmed(question) if call else None


class Asks(BaseException):
    """Leaves the core with a question that the call's result must carry.

    A signal and no error: no `except Exception` of a core may stop it.
    """

    def __init__(self, result: InputRequiredResult) -> None:
        super().__init__("the client has a question to answer")
        self.result = result


class Call:
    """One `tools/call` and its client, as its core sees them."""

    def __init__(self, context: Context[Any, Any] | None) -> None:
        self.cancelled = threading.Event()
        self._context = context if context is not None and context.protocol_version else None
        self._asking: anyio.CancelScope | None = None
        self._ended = False
        self._answers: dict[str, bool] = {}
        self._deaf = self._context is None
        self._newest: float | None = None
        self._next_at = 0.0
        self._waiting: tuple[float, float | None, str] | None = None

    def report(self, done: float, total: float | None, message: str) -> None:
        """See `report`; runs in the core's thread."""
        if self._deaf or (self._newest is not None and done <= self._newest):
            return
        self._newest = done
        self._waiting = (done, total, message)
        if time.monotonic() < self._next_at:
            return
        with suppress(Exception):
            anyio.from_thread.run(self.send_waiting)
        self._next_at = time.monotonic() + PROGRESS_EVERY_S

    async def send_waiting(self) -> None:
        """Send the newest report that has not gone out; runs on the loop."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or self._deaf or self._ended or self._context is None:
            return
        done, total, message = waiting
        with anyio.move_on_after(PROGRESS_WAIT_S, shield=True) as scope:
            try:
                await self._context.report_progress(done, total, message or None)
            except Exception:
                # A client that is gone does not fail a call that may be writing files.
                self._deaf = True
        self._deaf = self._deaf or scope.cancelled_caught

    def confirmed(self, question: str) -> bool | None:
        """See `confirmed`; runs in the core's thread."""
        context = self._context
        if context is None or not _can_be_asked(context):
            return None
        if is_version_at_least(context.protocol_version or "", ASKS_BY_RESULT):
            return self._answered(context, question)
        if not context.session.can_send_request:
            return None
        return anyio.from_thread.run(self._elicit, context, question)

    def _answered(self, context: Context[Any, Any], question: str) -> bool:
        """The answer that came with this call; where there is none, the question as its result.

        The key of a question is made of its words, so an answer to other words is none. Nothing
        is kept here: answers to earlier questions of the same call travel with the client, in
        the state that the SDK seals and binds to the tool and its arguments.
        """
        key = f"confirm-{hashlib.sha256(question.encode()).hexdigest()[:16]}"
        response = (context.input_responses or {}).get(key)
        earlier = _earlier_answers(context.request_state)
        if response is not None:
            self._answers[key] = _is_yes(response)
        elif key in earlier:
            self._answers[key] = earlier[key]
        else:
            state = json.dumps(self._answers) if self._answers else None
            asked: InputRequests = {key: _request(question)}
            raise Asks(InputRequiredResult(input_requests=asked, request_state=state))
        return self._answers[key]

    async def _elicit(self, context: Context[Any, Any], question: str) -> bool | None:
        """Ask and wait; runs on the loop."""
        if self._ended:
            return False
        # Shielded: a cancellation of the call comes by `end` alone, which gives the core a no.
        # Left to itself it would raise in the thread what no core expects.
        with anyio.CancelScope(shield=True) as self._asking:
            try:
                result = await context.session.send_request(
                    _request(question),
                    ElicitResult,
                    request_read_timeout_seconds=ANSWER_S,
                    metadata=ServerMessageMetadata(related_request_id=context.request_id),
                )
            except Exception:
                # Timed out, refused, or malformed: no answer of a person in any case.
                return None
            return _is_yes(result)
        return False

    def end(self) -> None:
        """Nothing more is sent, and a question that is open counts as a no."""
        self._ended = True
        if self._asking is not None:
            self._asking.cancel()


_CALL: ContextVar[Call | None] = ContextVar("call", default=None)


@contextmanager
def one_call(context: Context[Any, Any] | None) -> Iterator[Call]:
    """The call of `context`, for as long as it runs; None where the tool is run by hand."""
    call = Call(context)
    token = _CALL.set(call)
    try:
        yield call
    except anyio.get_cancelled_exc_class():
        call.cancelled.set()
        raise
    finally:
        call.end()
        _CALL.reset(token)


def _can_be_asked(context: Context[Any, Any]) -> bool:
    """Whether the client shows forms: `elicitation: {}` is how older ones say that."""
    capabilities = context.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _request(question: str) -> ElicitRequest:
    return ElicitRequest(
        params=ElicitRequestFormParams(message=question, requested_schema=CONFIRM_FORM)
    )


def _is_yes(response: object) -> bool:
    return (
        isinstance(response, ElicitResult)
        and response.action == "accept"
        and (response.content or {}).get("confirm") is True
    )


def _earlier_answers(state: str | None) -> dict[str, bool]:
    """What `_answered` wrote, as the SDK gives it back unsealed."""
    answers: dict[str, bool] = json.loads(state) if state else {}
    return answers
