"""Start the worker out of a folder that is on nobody's ``sys.path``.

``PYTHON launch.py [--packages FOLDER] [arguments]`` does what
``python -m pamir_blender.worker [arguments]`` does, with the packages in FOLDER before any others, for a
package that may lie in an extension's folder: that folder's neighbours, other people's add-ons, must not
become importable, and the package must come from here even where another copy is installed.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the user chooses this Python
    sys.exit(f"The worker needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")


def main() -> None:
    """Load the package around this file as ``pamir_blender`` and run its worker."""
    import importlib.util
    import runpy
    from pathlib import Path

    if sys.argv[1:2] == ["--packages"]:
        sys.path.insert(0, sys.argv[2])
        del sys.argv[1:3]
    package = Path(__file__).resolve().parents[1]
    # A script's own folder comes first on sys.path; its modules must not shadow anybody's.
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != package / "worker"]
    spec = importlib.util.spec_from_file_location(
        "pamir_blender", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["pamir_blender"] = module
    spec.loader.exec_module(module)
    runpy.run_module("pamir_blender.worker", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
