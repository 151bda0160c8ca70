"""Opens a page in a real browser, headless Chromium, and lets a script look at it.

Tests that need it are skipped where there is none (Debian: `apt-get install chromium`). Tests and
browser exchange messages of the DevTools protocol, JSON that ends with a zero byte, over two pipes.
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
PATIENCE = 120.0  # s, for one answer
Send = Callable[..., dict[str, Any]]
# in front of all scripts of the page: the protocol does not tell of pictures that fail
LISTEN = """
window.problems = [];
addEventListener("error", function (event) {
  if (event.target !== window) problems.push("not loaded: " + event.target.outerHTML.slice(0, 99));
}, true);
"""
LOOK = """(async function () {
  const frames = function () { // what was changed is drawn then
    return new Promise(function (done) {
      requestAnimationFrame(function () { requestAnimationFrame(done); });
    });
  };
  await frames();
  return { found: await (async function () { SCRIPT })(), problems: problems };
})()"""


def look_at(page: Path, script: str, width: int = 1000) -> Any:
    """What the body of an async function in JavaScript returns in the page.

    The script may `await frames()`, until what it changed is drawn. The page must have no error, no
    warning and nothing that it tried to load in vain.
    """
    events: list[dict[str, Any]] = []
    with _browser(events) as send:
        target = send("Target.createTarget", url="about:blank")["targetId"]
        session = send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

        def ask(method: str, **params: Any) -> dict[str, Any]:
            return send(method, session, **params)

        for domain in ("Page", "Runtime", "Log"):
            ask(f"{domain}.enable")
        size = {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
        ask("Emulation.setDeviceMetricsOverride", **size)
        ask("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        ask("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in events):
            ask("Runtime.evaluate", expression="0")  # events come with answers
        expression = LOOK.replace("SCRIPT", script)
        answer = ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    result = answer["result"]["value"]
    problems = result["problems"] + list(filter(None, map(_problem, events)))
    assert not problems, problems
    return result["found"]


def _problem(event: dict[str, Any]) -> str:
    """What the browser complains about; empty if it does not."""
    method, params = event["method"], event.get("params", {})
    if method == "Runtime.exceptionThrown":
        details = params["exceptionDetails"]
        return f"{details['text']} {details.get('exception', {}).get('description', '')}"
    if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
        return " ".join(str(argument.get("value")) for argument in params["args"])
    if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
        return str(params["entry"]["text"])
    return ""


@contextmanager
def _browser(events: list[dict[str, Any]]) -> Iterator[Send]:
    """A running browser as a function that sends a message and returns its answer.

    Args:
        events: gets what the browser tells unasked.
    """
    assert CHROMIUM is not None
    of_child, to_child = os.pipe()
    from_child, of_child_too = os.pipe()
    # Chromium reads from 3 and writes to 4, which the pipes may be themselves
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (of_child, of_child_too)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--remote-debugging-pipe", f"--user-data-dir={profile}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: [os.dup2(theirs[k], 3 + k) for k in (0, 1)],
            pass_fds=(3, 4),
        )
        for end in (of_child, of_child_too, *theirs):
            os.close(end)
        with open(to_child, "wb", buffering=0) as to_browser, open(from_child, "rb") as answers:
            try:
                yield _sender(to_browser, answers, events)
            finally:
                process.kill()
                process.wait()


def _sender(to_browser: Any, answers: Any, events: list[dict[str, Any]]) -> Send:
    n_sent, unread = 0, b""

    def receive() -> dict[str, Any]:
        nonlocal unread
        while b"\0" not in unread:
            ready, _, _ = select.select([answers], [], [], PATIENCE)
            part = answers.read1() if ready else b""
            assert part, "the browser ended, or said nothing for a long time"
            unread += part
        message, _, unread = unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def send(method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        nonlocal n_sent
        n_sent += 1
        message = {"id": n_sent, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        to_browser.write(json.dumps(message).encode() + b"\0")
        while (answer := receive()).get("id") != n_sent:
            events.append(answer)
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    return send
