"""LAMMPS scripts that settings name: what can be seen in their text before they run.

A script that continues in another one, or that a program writes, is taken as it is.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from pyubias.config.exploration import ExplorationConfig
from pyubias.config.schema import LammpsReference, Reference
from pyubias.config.yaml_settings import ConfigError

__all__ = ["check_reference_script", "check_walker_script"]


def check_walker_script(exploration: ExplorationConfig, where: str) -> None:
    """Refuse a script that ignores a setting, runs nothing, or writes no frames to read.

    Args:
        exploration: with an absolute path of the script.
        where: the file of settings, for the message.

    Raises:
        ConfigError: the script lacks something.
    """
    script = _commands(exploration.input)
    _check_quit(script, f"{where}: exploration.input '{exploration.input}'")
    if _goes_elsewhere(script):
        return
    keys = {name: f"exploration.variables.{name}" for name in exploration.variables}
    if exploration.tau_stress > 0.0:
        keys["tau_stress"] = "exploration.tau_stress"
    _check_variables(keys, script, exploration.input, where)
    problem = "" if re.search(r"\b(run|minimize|rerun)\b", script) else "it has no run command"
    problem = problem or _problem_of_dump(script)
    if exploration.metadynamics is not None and "pf/callback" not in script:
        problem = problem or "metadynamics needs `fix metadynamics all external pf/callback 1 1`"
    if problem:
        raise ConfigError(f"{where}: exploration.input '{exploration.input}': {problem}")


def check_reference_script(reference: Reference, where: str) -> None:
    """Refuse variables that the script of a LAMMPS reference does not have.

    Raises:
        ConfigError: with the variables that the script has.
    """
    if not isinstance(reference, LammpsReference):
        return
    script = _commands(reference.input)
    _check_quit(script, f"{where}: reference.input '{reference.input}'")
    if not _goes_elsewhere(script):
        keys = {name: f"reference.variables.{name}" for name in reference.variables}
        _check_variables(keys, script, reference.input, where)


def _commands(path: Path) -> str:
    """The text of a script without comments, each command in one line."""
    # LAMMPS takes any bytes in comments and strings
    text = re.sub(r"&[ \t]*\r?\n", " ", path.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(map(_without_comment, text.splitlines()))


def _without_comment(line: str) -> str:
    quoted = ""
    for k, character in enumerate(line):
        if character == "#" and not quoted:
            return line[:k]
        if character in "\"'" and quoted in ("", character):
            quoted = "" if quoted else character
    return line


def _check_quit(script: str, where: str) -> None:
    if re.search(r"^\s*quit\b", script, re.MULTILINE):
        raise ConfigError(f"{where}: the command quit ends the whole program: remove it")


def _goes_elsewhere(script: str) -> bool:
    return re.search(r"\b(include|jump|python)\b", script) is not None


def _check_variables(keys: dict[str, str], script: str, path: Path, where: str) -> None:
    """LAMMPS takes any variable without a word."""
    found = re.findall(r"\$\{(\w+)\}|\$(\w)|\bv_(\w+)|\bvariable\s+(\w+)", script)
    known = {name for names in found for name in names}
    for name, key in keys.items():
        if name not in known:
            declared = re.findall(r"^\s*variable\s+(\w+)\s+index\b", script, re.MULTILINE)
            raise ConfigError(
                f"{where}: {key} does not occur in {path.name}, whose variables are "
                f"{_listed(declared)}"
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _problem_of_dump(script: str) -> str:
    """What is wrong with the dump that becomes the frames of a walker; empty if it is right."""
    advice = "write `dump ID all custom ${every} ${trajectory} id element xu yu zu`"
    found = re.search(
        r"\bdump\s+\S+\s+(\S+)\s+(\S+)\s+\S+\s+(\S*\$\{trajectory\}\S*)([^\n\"]*)", script
    )
    if found is None:
        used = re.search(r"\$\{trajectory\}|\bv_trajectory\b", script)
        return "" if used else f"it dumps no frame to ${{trajectory}}: {advice}"
    group, style, file, columns = found.groups()
    if "$" not in group and group != "all":
        return f"its dump of the group '{group}' lacks atoms: {advice}"
    if "$" not in style and style != "custom":
        return f"its dump has the style '{style}': {advice}"
    if file.strip("'\"") != "${trajectory}":
        return f"its dump has another file, {file}: {advice}"
    missing = {"id", "element"} - set(columns.split())
    if "$" not in columns and missing:
        return f"its dump has no column '{min(missing)}': {advice}"
    return ""
