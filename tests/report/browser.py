"""Opens a page in a real browser, headless Chromium, and lets a script look at it.

Tests that need it are skipped where there is none (Debian: `apt-get install chromium`).
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
# before all other scripts of the page
LISTEN = """<script>
window.problems = [];
addEventListener("error", function (event) {
  problems.push(event.message || "not loaded: " + event.target.outerHTML.slice(0, 100));
}, true);
addEventListener("securitypolicyviolation", function (event) {
  problems.push("refused: " + event.blockedURI);
});
for (const name of ["error", "warn"]) {
  console[name] = function (text) { problems.push(String(text)); };
}
</script>"""
# after them; the answer is in the page that Chromium dumps
LOOK = """<script>
(async function () {
  const frames = function () {
    return new Promise(function (done) {
      requestAnimationFrame(function () { setTimeout(done, 60); });
    });
  };
  let found;
  try {
    await frames();
    found = await (async function () { SCRIPT })();
  } catch (error) {
    problems.push("the test's own script: " + error);
  }
  const answer = document.createElement("pre");
  answer.id = "answer";
  answer.textContent = JSON.stringify({ found: found, problems: problems });
  document.body.append(answer);
})();
</script>"""


def look_at(page: Path, script: str, width: int = 1000) -> Any:
    """What the body of an async function in JavaScript returns in the page.

    The script may `await frames()`, until what it changed is drawn. The page must have no error, no
    warning and nothing that it tried to load in vain.
    """
    assert CHROMIUM is not None
    text = page.read_text(encoding="utf-8")
    assert text.count("<head>") == text.count("</body>") == 1
    text = text.replace("<head>", f"<head>{LISTEN}")
    text = text.replace("</body>", f"{LOOK.replace('SCRIPT', script)}</body>")
    copy = page.with_name(f"{page.stem}-looked-at.html")
    copy.write_text(text, encoding="utf-8")
    run = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={page.parent / 'browser'}", f"--window-size={width},1400"),
            *("--hide-scrollbars", "--virtual-time-budget=600000", "--dump-dom", copy.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    lines = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    answer = re.search(r'<pre id="answer">(.*?)</pre>', run.stdout, re.DOTALL)
    assert answer is not None, f"the page gave no answer: {lines}"
    result = json.loads(html.unescape(answer[1]))
    problems = result["problems"] + lines
    assert not problems, problems
    return result["found"]
