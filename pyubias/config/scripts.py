"""LAMMPS scripts that settings name: what can be seen in their text before they run.

Scripts that it includes by `${here}` or by absolute paths belong to it. One that goes on elsewhere
otherwise, or that a program writes, is taken as it is.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from pyubias.config.exploration import ExplorationConfig
from pyubias.config.schema import LammpsReference, Reference
from pyubias.config.yaml_settings import ConfigError

__all__ = ["check_reference_script", "check_walker_script"]

MAX_DEPTH = 10  # of scripts that include each other
# `-var` sets these styles; LAMMPS refuses to redefine a variable in any other
SETTABLE = ("index", "loop", "world", "universe", "uloop", "file", "atomfile")


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
    keys |= {name: f"what a walker gets as '{name}'" for name in ("model", "structure")}
    for name in ("tau", "tau_stress"):
        if getattr(exploration, name) > 0.0 and name not in exploration.variables:
            keys[name] = f"exploration.{name} = {getattr(exploration, name):g}"
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


def _commands(path: Path, depth: int = 0) -> str:
    """The text of a script without comments, each command in one line, with what it includes."""
    # LAMMPS takes any bytes in comments and strings
    text = re.sub(r"&[ \t]*\r?\n", " ", path.read_text(encoding="utf-8", errors="replace"))
    lines = []
    for line in map(_without_comment, text.splitlines()):
        found = re.fullmatch(r"\s*include\s+(\S+)\s*", line)
        # as a walker finds it, which runs in a folder of its own
        included = None if found is None else Path(found[1].replace("${here}", str(path.parent)))
        if included and included.is_absolute() and included.is_file() and depth < MAX_DEPTH:
            line = _commands(included, depth + 1)
        lines.append(line)
    return "\n".join(lines)


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
    return re.search(r"\b(include|jump(?!\s+SELF\b)|python)\b", script) is not None


def _check_variables(keys: dict[str, str], script: str, path: Path, where: str) -> None:
    """Refuse variables that the script does not use: LAMMPS takes any without a word.

    A use is ``${name}``, ``$n`` or ``v_name``; a definition alone is none.
    """
    found = re.findall(r"\$\{(\w+)\}|\$(\w)|\bv_(\w+)", script)
    used = {name for names in found for name in names}
    defined = re.findall(r"\bvariable\s+(\w+)\s+(\w+)", script)
    for name, key in keys.items():
        styles = [style for other, style in defined if other == name]
        if name not in used:
            settable = [other for other, style in defined if style in SETTABLE]
            problem = "is defined but never used" if styles else "does not occur"
            raise ConfigError(
                f"{where}: {key} {problem} in {path.name}, whose variables are {_listed(settable)}"
            )
        if styles and not set(styles) & {*SETTABLE, "delete"}:
            raise ConfigError(
                f"{where}: {key} cannot be set, because {path.name} defines `variable {name} "
                f"{styles[0]}`: write `variable {name} index` and its default"
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
        # another variable, or another command, may pass the name on
        passed_on = r"\b(variable|dump|write_dump)\b.*(\$\{trajectory\}|\bv_trajectory\b)"
        used = re.search(passed_on, script)
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
