"""A profile's parameters, checked against the notebooks before any of them is executed.

A profile (profiles/<profile>.yaml beside this file) is a mapping of two levels. `all` holds
parameters for every notebook that declares them, as {seed: 0}; a notebook's name holds its own.
A notebook declares its parameters in one code cell tagged `parameters`, as `name = literal` or
`name: type = literal`; the values there are the laptop profile's.
"""

from __future__ import annotations

import ast
import difflib
import re
import symtable
from collections.abc import Iterator
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from corelib.data.contract import is_folder_name
from corelib.machine.errors import KitError
from corelib.machine.messages import one_line

TAG = "parameters"
PROFILES = Path(__file__).with_name("profiles")  # the kit's own
RESULTS = "results"  # where a notebook records its results: set by the run, never by a profile


class CourseError(KitError, ValueError):
    """The course cannot be run as asked; nothing was executed. The message says what is right."""


def nearest(word: str, valid: list[str]) -> str:
    """A hint for an unknown name: the closest valid one ("; did you mean 'epochs'?"), or all."""
    for close in difflib.get_close_matches(word, valid, n=1):
        return f"; did you mean {close!r}?"
    return "; valid: " + ", ".join(sorted(valid)) if valid else "; there is none to name"


def profile_name(profile: str) -> str:
    """What a profile's results are called by: its name, or that of its file."""
    return Path(profile).name.removesuffix(".yaml")


def profile_path(folder: str | Path, profile: str) -> Path:
    """A profile's file: a path that ends in .yaml, or a name in `folder` or among the kit's own."""
    places = [Path(of, f"{profile}.yaml") for of in (folder, PROFILES)]
    if profile.endswith(".yaml"):
        places, profile = [Path(profile)], profile_name(profile)
    for path in places:
        if is_folder_name(profile) and path.is_file():
            return path
    valid = {found.stem for of in (folder, PROFILES) for found in Path(of).glob("*.yaml")}
    hint = nearest(profile, sorted(valid))
    raise CourseError(f"no profile {profile!r}{hint}, or the path of a file NAME.yaml")


def read_profile(folder: str | Path, profile: str) -> dict[str, dict]:
    """The two levels of a profile: {"all" or a notebook's name: {parameter: value}}."""
    path = profile_path(folder, profile)
    try:
        text = path.read_text(encoding="utf-8")
        # A few lines of aliases stand for billions of values.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, yaml.SafeLoader)):
            raise CourseError(f"{path}: holds an alias (*name); write the value out")
        content = yaml.safe_load(text) or {}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CourseError(f"{path} is not valid YAML: {one_line(error)}") from None
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise CourseError(f"{path}: expected a mapping of `all` and notebook names, got a {kind}")
    for name, values in content.items():
        if values is not None and not isinstance(values, dict):
            wanted = "expected a mapping of parameters such as {epochs: 3}"
            raise CourseError(f"{path}: {name}: {wanted}, got {one_line(repr(values))}")
    return {str(name): values or {} for name, values in content.items()}


def read_notebook(path: Path) -> NotebookNode:
    """A notebook in the current format. Raises CourseError for a file that is none."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat takes any JSON for a notebook, and fails in many ways
        raise CourseError(f"{path} is not a valid notebook: {one_line(error)}") from None


def declared_parameters(notebook: NotebookNode, name: str) -> dict[str, object]:
    """What the cell tagged `parameters` declares, {parameter: default}; empty without such a cell.

    Only `name = literal` may stand there: papermill does not recompute what is derived.
    """
    tagged = [cell for cell in notebook.cells if TAG in cell.metadata.get("tags", [])]
    if len(tagged) > 1:
        raise CourseError(f"{name}: {len(tagged)} cells are tagged `{TAG}`; tag one")
    declared = {}
    for statement in _parse(tagged[0].source, name).body if tagged else []:
        try:
            (target,) = _targets(statement)
            declared[target.id] = ast.literal_eval(statement.value)
        except (ValueError, AttributeError, TypeError):
            wrong = f"`{ast.unparse(statement)}` in the parameters cell is not `name = literal`"
            raise CourseError(f"{name}: {wrong}; derive values in the next cell") from None
    return declared


def unread_parameters(notebook: NotebookNode, name: str) -> list[str]:
    """Declared parameters that no later cell reads, or that one overwrites before any reads it."""
    unread, overwritten, after = set(declared_parameters(notebook, name)), set(), False
    for cell in notebook.cells:
        if TAG in cell.metadata.get("tags", []):
            after = True
        elif after and cell.cell_type == "code":
            for statement in _parse(cell.source, name).body:
                unread -= _names_read(statement) - overwritten
                targets = _targets(statement) if getattr(statement, "value", None) else []
                overwritten |= {target.id for target in targets if isinstance(target, ast.Name)}
    return sorted(unread)


def plan_parameters(
    sections: dict[str, dict], notebooks: dict[str, NotebookNode], *, selected: list, origin: str
) -> dict[str, dict]:
    """The parameters to hand to each selected notebook: {notebook: {parameter: value}}.

    sections   a profile, from read_profile; origin: what to call it in messages
    notebooks  all of the course's, by name: an `all` parameter is one that any of them declares
    selected   the names of those to execute

    Raises CourseError, which lists every unknown parameter, every value of another type than the
    default, and what no later cell of a selected notebook reads.
    """
    declared = {name: declared_parameters(notebook, name) for name, notebook in notebooks.items()}
    problems = [f"{origin}: {problem}" for problem in _unknown_names(sections, declared)]
    plan = {}
    for name in selected:
        everywhere, defaults = sections.get("all", {}), declared[name]
        plan[name] = {key: value for key, value in everywhere.items() if key in defaults}
        plan[name] |= sections.get(name, {})
        for key, value in plan[name].items():
            if key in defaults and not _same_type(value, defaults[key]):
                problems.append(f"{origin}: {name}: {key}{_type_problem(value, defaults[key])}")
        for key in unread_parameters(notebooks[name], name):
            unread = f"the parameter {key!r} is declared, but no later cell reads it"
            problems.append(f"{name}: {unread}; use it or remove it")
    if problems:
        listed = "nothing was executed:\n  " + "\n  ".join(problems)
        raise CourseError(listed if problems[1:] else problems[0])
    return plan


def _unknown_names(sections: dict[str, dict], declared: dict[str, dict]) -> Iterator[str]:
    """What a profile names that no notebook, or not this one, has."""
    own = {name: set(parameters) - {RESULTS} for name, parameters in declared.items()}
    for section, values in sections.items():
        if section != "all" and section not in own:
            yield f"no notebook is called {section!r}{nearest(section, ['all', *own])}"
            continue
        valid = sorted(set().union(*own.values()) if section == "all" else own[section])
        whose = "no notebook declares" if section == "all" else f"{section} does not declare"
        for key in values:
            if key == RESULTS:
                yield f"{section}: `{RESULTS}` is set by the run; use --out to say where"
            elif key not in valid:
                yield f"{section}: {whose} a parameter {key!r}{nearest(str(key), valid)}"


def _same_type(value: object, default: object) -> bool:
    # bool is an int to isinstance, but `pretrained: 1` is a slip; an int does for a float.
    if default is None:
        return True
    if isinstance(default, float):
        return type(value) in (int, float)
    if isinstance(default, (list, tuple)):
        elements = default[:1]
        return isinstance(value, list) and all(_same_type(v, e) for v in value for e in elements)
    return type(value) is type(default)


def _type_problem(value: object, default: object) -> str:
    given, wanted = type(value).__name__, type(default).__name__
    message = f" is {value!r} ({given}), the default is {default!r} ({wanted})"
    # YAML 1.1 reads a number with an exponent only when it has a decimal point and a sign.
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        mantissa, _, exponent = f"{float(value):e}".partition("e")
        message += f"; YAML reads {value} as text, write {float(mantissa)}e{int(exponent):+d}"
    return message


def _parse(source: str, name: str) -> ast.Module:
    # Lines for IPython (%magic, !command) are no Python; what they run reads no parameter.
    lines = [re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in source.splitlines()]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError as error:
        said = f"{error.msg}: {(error.text or '').strip()}"
        raise CourseError(f"{name}: a cell is not valid Python: {said}") from None


def _targets(statement: ast.stmt) -> list[ast.expr]:
    """What `a = b = value` or `a: type = value` assigns to."""
    if isinstance(statement, ast.AnnAssign):
        return [statement.target]
    return statement.targets if isinstance(statement, ast.Assign) else []


def _names_read(statement: ast.stmt) -> set[str]:
    # symtable knows scopes: a function's own argument or local of that name is not the parameter.
    read = set()
    scopes = [symtable.symtable(ast.unparse(statement), "cell", "exec")]
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            if symbol.is_referenced() and (scope.get_type() == "module" or symbol.is_global()):
                read.add(symbol.get_name())
    return read
