"""Whether this Python has what corelib needs, said in one line.

Imports the standard library alone, to speak where anything else is missing or broken.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from types import ModuleType

from corelib.machine.errors import KitError

ROOT = Path(__file__).resolve().parents[2]
OTHER_KERNEL = "take the Python of .venv (in JupyterLab the kernel Python 3 of `make lab`)"


class InstallationError(KitError, ImportError):
    """What corelib needs is missing, out of its range or broken; one line says what to do."""

    exit_code = 1


def check_installation() -> None:
    """Raise InstallationError unless all packages are here, in range, and torch imports.

    The first cell of every notebook and the command line begin with it; torch's import is what
    takes its time. torchvision's takes as long again, and is left to `torchvision_part`.
    """
    for find in (python_problem, package_problem, pair_problem, torch_problem):
        if problem := find():
            raise InstallationError(problem)


def torchvision_part(name: str) -> ModuleType:
    """A module of torchvision, imported where it is used. Raises InstallationError as above."""
    if problem := torch_problem("torchvision"):
        raise InstallationError(problem)
    return importlib.import_module(f"torchvision.{name}")


def python_problem() -> str | None:
    """What is wrong with this Python's version, or None."""
    this = f"{sys.executable} is Python {platform.python_version()}"
    try:
        from packaging.specifiers import SpecifierSet

        allowed = _described()[0]
    except ModuleNotFoundError as error:
        if error.name == "tomllib":  # which came with Python 3.11
            return f"{this}, which is too old for corelib: {OTHER_KERNEL}"
        return describe_missing([error.name])
    if not SpecifierSet(allowed).contains(platform.python_version(), prereleases=True):
        return f"{this}, and corelib needs {allowed}: {OTHER_KERNEL}"
    return None


def package_problem() -> str | None:
    """Which needed packages are missing or outside the range of pyproject.toml, or None."""
    packages = installed_packages()
    if missing := [name for name, found, _, _ in packages if found is None]:
        return describe_missing(missing)
    outside = [
        f"{name} {found} is installed and {needed} needed"
        for name, found, needed, fits in packages
        if not fits
    ]
    return f"{', '.join(outside)}: {_kits_python() or _install()}" if outside else None


def files_problem() -> str | None:
    """Which distributions of requirements.lock are here without all their files, or None.

    kit.py tells, so that it is None too where corelib does not run from its repository.
    """
    if not (ROOT / "kit.py").is_file():
        return None
    spec = importlib.util.spec_from_file_location("kit", ROOT / "kit.py")
    kit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kit)
    locked = {name.replace("-", "_") for name in _lock()} | {"corelib"}
    found = {}
    for folder, path in sorted(kit.shortcomings(sysconfig.get_path("purelib")).items()):
        name, _, version = Path(folder).name.removesuffix(".dist-info").partition("-")
        if re.sub(r"[-_.]+", "_", name).lower() in locked:
            found[f"{name}=={version}"] = path
    if not found:
        return None
    few = ", ".join(f"{name} ({path})" for name, path in list(found.items())[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    mend = f'run "{sys.executable}" -m pip install --ignore-installed --no-deps {" ".join(found)}'
    if Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        mend = "run `make setup` (without make: python kit.py setup), which installs them again"
    return f"files are missing or incomplete in {few}{more}: {_kits_python() or mend}"


def pair_problem() -> str | None:
    """That torchvision was built for another torch, by what it says itself, or None."""
    from packaging.requirements import Requirement

    found = _version("torch")
    for needed in map(Requirement, metadata.requires("torchvision") or []):
        if needed.name == "torch" and not needed.specifier.contains(found, prereleases=True):
            what = f"torch {found} and torchvision {_version('torchvision')} do not match"
            mend = describe_reinstall("torch", "torchvision")
            return f"{what} (it needs torch{needed.specifier}): {mend}"
    return None


def torch_problem(*others: str) -> str | None:
    """Why torch, or torchvision where it is among the others, cannot be imported, or None."""
    for name in ("torch", *others):
        try:
            importlib.import_module(name)
        # a broken build raises nearly anything: RuntimeError, OSError, AttributeError ...
        except Exception as error:
            said = f"({type(error).__name__}: {' '.join(str(error).split())})"
            what = f"torch {_version('torch')}"
            if name == "torchvision":
                what = f"{what} and torchvision {_version(name)} do not match"
            else:
                what = f"{what} does not start"
            return f"{what} {said}: {describe_reinstall('torch', 'torchvision')}"
    return None


def installed_packages() -> list[tuple[str, str | None, str, bool]]:
    """Of each needed package: name, version here or None, the range, whether it lies in there."""
    from packaging.requirements import Requirement

    packages = []
    for needed in map(Requirement, _described()[1]):
        found, wanted = _version(needed.name), needed.specifier
        fits = found is not None and wanted.contains(found, prereleases=True)
        packages.append((needed.name, found, str(wanted), fits))
    return packages


def describe_missing(names: list[str]) -> str:
    """The line that says which packages are not here, and what to do."""
    few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    verb = "is" if len(names) == 1 else "are"
    mend = _kits_python() or f"{_install()}; or {OTHER_KERNEL}"
    return f"{few} {verb} not installed in {sys.executable}: {mend}"


def describe_reinstall(*names: str) -> str:
    """The line that installs packages anew, at the versions of requirements.lock if it is here; in
    a Python beside the kit's own, that it is not the one to mend."""
    if kits := _kits_python():
        return kits
    lock = _lock()
    pins = [f"{name}=={lock[name]}" if name in lock else name for name in names]
    options = "--force-reinstall --no-deps" if lock else "--force-reinstall"
    if "torch" in names and (_version("torch") or "").endswith("+cpu"):
        options += " --index-url https://download.pytorch.org/whl/cpu"  # that of such builds
    return f'run "{sys.executable}" -m pip install {options} {" ".join(pins)}'


def _lock() -> dict[str, str]:
    """{name: version} of requirements.lock, empty where corelib does not run from its repository.

    Needed because pip takes no bare name beside a lock with hashes, not even as constraints.
    """
    lock = ROOT / "requirements.lock"
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def _described() -> tuple[str, list[str]]:
    """The range of Pythons and the requirements: from the repository where there is one, since the
    installed metadata tell of the day of the installation."""
    if (ROOT / "pyproject.toml").is_file():
        import tomllib

        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return project["requires-python"], project["dependencies"]
    texts = [text for text in metadata.requires("corelib") or [] if "extra ==" not in text]
    return metadata.metadata("corelib")["Requires-Python"], texts


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _kits_python() -> str | None:
    """What to do where the kit has a Python of its own and this is another one; else None."""
    own = ROOT / ".venv"
    python = own / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.is_file() or Path(sys.executable).parent.resolve() == python.parent.resolve():
        return None
    return (
        f'use the kit\'s own Python in place of {sys.executable}: "{python}" -m corelib doctor says'
        " whether that one is well"
    )


def _install() -> str:
    if not (ROOT / "pyproject.toml").is_file():
        return "install corelib again, from a clone of the kit"
    return f'run "{sys.executable}" -m pip install -e "{ROOT}"'
