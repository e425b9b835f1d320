"""The zips that can be built: with or without a backend, per platform and Python."""

from __future__ import annotations

from dataclasses import dataclass

from pamir_blender.addon.backend.managed import TORCH_INDEX, package_name, requirements

BACKENDS = ("none", "cpu", "cuda")
PLATFORMS = ("linux-x64", "windows-x64")
PYTHONS = ("3.11", "3.13")

BLENDERS = {"3.11": ("4.5.0", "5.1.0"), "3.13": ("5.1.0", None)}
"""The Blender versions that run each Python: from, and up to but without."""

_WHEEL_TAGS = {
    "linux-x64": [f"manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1)]
    + ["manylinux2014_x86_64", "linux_x86_64"],
    "windows-x64": ["win_amd64"],
}
_CUDA_BUILD = "cu130"
"""PyTorch's build for CUDA 13, which torch 2.13 on the package index is for, too."""


@dataclass(frozen=True)
class Variant:
    """One zip with a backend inside."""

    backend: str
    platform: str
    python: str

    @property
    def name(self) -> str:
        """For file names, e.g. ``cpu-linux-x64-py311``."""
        return f"{self.backend}-{self.platform}-py{self.python.replace('.', '')}"

    @property
    def index(self) -> str | None:
        """PyTorch's own index where the package index has another build of torch."""
        windows = self.platform.startswith("windows")
        if (self.backend == "cpu") == windows:
            return None
        return TORCH_INDEX + ("cpu" if self.backend == "cpu" else _CUDA_BUILD)

    def requirements(self) -> list[str]:
        """What the zip carries, torch pinned to this variant's build."""
        label = "" if self.index is None else "+" + self.index.rsplit("/", 1)[-1]
        return [
            # "===" compares as text: "==" would also take a build with another label.
            line.replace("==", "===", 1) + label if package_name(line) == "torch" else line
            for line in requirements()
        ]

    def pip_arguments(self) -> list[str]:
        """pip's arguments that choose wheels for this platform and Python, whatever pip runs on."""
        arguments = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", self.python]
        for tag in _WHEEL_TAGS[self.platform]:
            arguments += ["--platform", tag]
        return arguments

    def index_arguments(self, name: str) -> list[str]:
        """pip's arguments for where the package ``name`` comes from: only torch has an index of its own."""
        if self.index is None or name != "torch":
            return []
        return ["--extra-index-url", self.index, "--retries", "1"]

    def environment(self) -> dict[str, str]:
        """What environment markers are evaluated against (PEP 508)."""
        windows = self.platform.startswith("windows")
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "win32" if windows else "linux",
            "platform_system": "Windows" if windows else "Linux",
            "os_name": "nt" if windows else "posix",
            "platform_machine": "AMD64" if windows else "x86_64",
            "extra": "",
        }


def all_variants() -> list[Variant]:
    """Every zip that carries a backend."""
    return [Variant(b, p, v) for b in BACKENDS[1:] for p in PLATFORMS for v in PYTHONS]
