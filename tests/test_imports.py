"""Who may import whom. Arrows go one way; Blender, the backend and the border between them never mix."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pamir_blender"
LEAVES = {
    "errors",
    "camera",
    "contracts",
    "paths",
    "body_state",
    "joint_limits",
    "depth_flip",
    "rotations",
    "arrays",
    "image_header",
    "plain_files",
    "normals",
}
# module (longest prefix wins) -> what of this package it may import, besides itself
ALLOWED = {
    "": {"addon"},
    "errors": set(),
    "camera": set(),
    "contracts": {"camera"},
    "paths": set(),
    "body_state": {"errors"},
    "joint_limits": set(),
    "rotations": set(),
    "arrays": {"errors", "plain_files"},
    "image_header": set(),
    "plain_files": set(),
    "normals": set(),
    "depth_flip": {"contracts", "errors", "joint_limits", "rotations"},
    "result": LEAVES,
    "rasterise": LEAVES,
    "photo": LEAVES,
    "body": LEAVES,
    "pamir": LEAVES | {"body", "rasterise"},
    "rigging": LEAVES | {"rasterise"},
    "character": LEAVES | {"pamir", "rigging"},
    "save": LEAVES | {"character", "result", "rigging"},
    "check": LEAVES | {"photo", "body", "pamir"},
    "options": LEAVES,
    "saved": LEAVES | {"result"},
    "pipeline": LEAVES
    | {"options"}
    | {"character", "check", "save", "result", "photo", "body", "pamir", "rigging"},
    "bench": LEAVES | {"pipeline", "pamir", "saved", "bench_iteration"},
    "bench_iteration": LEAVES | {"pipeline", "pamir", "saved", "body", "photo"},
    "cli": LEAVES | {"options", "saved", "pipeline", "pamir", "bench", "result"},
    "__main__": {"cli"},
    "worker": LEAVES,
    "worker.server": LEAVES | {"worker", "pipeline"},
    "worker.__main__": LEAVES | {"worker", "pipeline"},
    "addon": LEAVES | {"worker.client", "worker.protocol", "cli", "result"},
    "addon.backend": LEAVES | {"worker.client", "worker.process"},
    "training": LEAVES | {"body", "pamir", "photo", "rasterise"},
    # Measures what the product does, so it stands above the pipeline, as bench does.
    "training.evaluation": LEAVES
    | {"body", "pamir", "photo", "rasterise", "rigging", "check", "options", "pipeline"},
}
# Third-party packages that a part may never load, at any depth of its own code.
FORBIDDEN = {
    "addon": {"torch", "scipy", "cv2", "PIL", "skimage"},
    "worker.protocol": {"torch", "bpy", "scipy", "cv2", "PIL", "skimage"},
    "worker.requests": {"torch", "bpy", "scipy", "cv2", "PIL", "skimage", "numpy"},
    "body_state": {"torch", "bpy", "scipy", "cv2", "PIL", "skimage", "numpy"},
    "depth_flip": {"torch", "bpy", "scipy", "cv2", "PIL", "skimage"},
    "joint_limits": {"torch", "bpy", "scipy", "cv2", "PIL", "skimage"},
    "worker.client": {"torch", "bpy", "scipy", "cv2", "PIL", "skimage"},
    "rigging": {"torch", "bpy"},
    "photo": {"torch", "bpy"},
    "body": {"bpy", "smplx"},
    "pamir": {"bpy", "smplx"},
    "pipeline": {"bpy"},
    "training": {"bpy"},
    "result": {"torch", "bpy"},
    "saved": {"torch", "bpy", "scipy", "cv2", "PIL", "skimage"},
    "rotations": {"torch", "bpy", "scipy", "cv2", "PIL", "skimage"},
    "arrays": {"torch", "bpy", "scipy", "cv2", "PIL", "skimage"},
    "image_header": {"torch", "bpy", "numpy", "scipy", "cv2", "PIL", "skimage"},
    "plain_files": {"torch", "bpy", "numpy", "scipy", "cv2", "PIL", "skimage"},
    "rasterise": {"torch", "bpy"},
}


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        yield ".".join(parts), path


def _imports(name, path):
    """(own modules, third-party top-level names) that a file imports anywhere in it."""
    package = name.split(".") if path.name == "__init__.py" and name else name.split(".")[:-1]
    own, foreign = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, _, rest = alias.name.partition(".")
                (own.add(rest) if top == "pamir_blender" else foreign.add(top))
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - (node.level - 1)]
                base = base + (node.module.split(".") if node.module else [])
            elif (node.module or "").split(".")[0] == "pamir_blender":
                base = node.module.split(".")[1:]
            else:
                foreign.add(node.module.split(".")[0])
                continue
            for alias in node.names:
                child = PACKAGE.joinpath(*base, alias.name)
                is_module = child.is_dir() or child.with_suffix(".py").is_file()
                own.add(".".join([*base, alias.name] if is_module else base))
    return own - {""}, foreign


def _rule(table, name):
    fits = [key for key in table if key == "" or name == key or name.startswith(key + ".")]
    return max((key for key in fits if key or name == ""), key=len, default=None)


MODULES = list(_modules())


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name or "pamir_blender" for name, _ in MODULES])
def test_arrows_go_one_way(name, path):
    rule = _rule(ALLOWED, name)
    assert rule is not None, f"{name} has no rule: say in ALLOWED what it may import"
    own, foreign = _imports(name, path)
    top = name.split(".")[0]
    for target in own:
        fine = target.split(".")[0] == top or any(
            target == allowed or target.startswith(allowed + ".") for allowed in ALLOWED[rule]
        )
        upwards = rule == "training" and target.startswith("training.evaluation")
        assert fine and not upwards, f"{name} may not import {target}"
    forbidden = FORBIDDEN.get(_rule(FORBIDDEN, name), set())
    assert not foreign & forbidden, f"{name} may not import {foreign & forbidden}"


def test_inside_the_package_imports_are_relative():
    """As an extension the package has another name, so absolute imports of itself would fail there."""
    for name, path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").split(".")[0] != "pamir_blender", name
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] != "pamir_blender" for alias in node.names), name


def test_importing_the_package_loads_neither_bpy_nor_torch():
    code = "import sys, pamir_blender; sys.exit(bool({'bpy', 'torch', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
