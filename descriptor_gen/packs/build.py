"""Make a pack: the texts of a dataset with who wrote them, their review, and what lint and controls say of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from db.descriptor_filter import DescriptorFilter, filter_descriptors
from db.errors import UsageError, UserError
from db.local_paths import public_settings
from db.packs import FACTS, FORMAT, GROUP, TEXTS
from db.records import Dataset, Descriptor, PortableDescriptor
from db.store import Store
from db.texts import escaped
from descriptor_gen.exchange.exporting import as_json
from descriptor_gen.lint.rules import Limits, lint_report, template_items
from descriptor_gen.packs.facts import metadata
from descriptor_gen.packs.wheel import write_wheel

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # of a distribution, in normal form
_LONGEST_NAME = 60
_RUN_SETTINGS = ("encoder", "encoder_revision", "protocol", "method", "frames", "clips", "crops", "split", "layout")


@dataclass(frozen=True)
class PackOptions:
    """What a pack is called, and what it may be used for.

    Attributes:
        name: by which it is used; the package is called `descgen-pack-<name>`.
        version: of the pack, such as `1.0`.
        licence: of the texts, an SPDX expression such as `CC-BY-4.0`.
        run: number or name of the run whose accuracies and controls the pack includes; None for none.
    """

    name: str
    version: str
    licence: str
    run: int | str | None = None

    def checked(self) -> PackOptions:
        """Return the same options in the normal form of their standards.

        Raises:
            UsageError: the name, the version (PEP 440) or the licence (SPDX) is not valid.
        """
        from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
        from packaging.version import InvalidVersion, Version

        if not _NAME.fullmatch(self.name) or len(self.name) > _LONGEST_NAME:
            raise UsageError(
                f"{self.name!r} cannot be the name of a pack: small letters and digits, with single - between them, "
                f"{_LONGEST_NAME} characters at most, such as hmdb51-qwen"
            )
        try:
            version = Version(self.version)
        except InvalidVersion as error:
            raise UsageError(f"{self.version!r} is not a version. Write numbers with dots, such as 1.0") from error
        try:
            licence = canonicalize_license_expression(self.licence)
        except InvalidLicenseExpression as error:
            raise UsageError(
                f"{self.licence!r} is not an SPDX licence expression (https://spdx.org/licenses). Such as CC-BY-4.0, "
                "CC0-1.0, MIT, or LicenseRef-My-Terms for terms of your own"
            ) from error
        return PackOptions(self.name, str(version), str(licence), self.run)


@dataclass(frozen=True)
class BuiltPack:
    """A pack that was written: its file, and the facts in its `pack.json`."""

    file: Path
    facts: Mapping[str, Any]


def build_pack(
    store: Store, dataset: Dataset, folder: Path, *, chosen: DescriptorFilter, options: PackOptions
) -> BuiltPack:
    """Write the wheel of a pack into a folder. The same texts and options give the same bytes.

    Args:
        store: has the texts and the run.
        dataset: its descriptors in use are taken.
        folder: made if it is missing.
        chosen: which of them; rejected ones are never in a pack.
        options: names, licence and run.

    Raises:
        UsageError: an option is not valid, or the run does not exist.
        UserError: no text is chosen, the run used other texts or has no controls, or the file cannot be written.
    """
    options = options.checked()
    items = filter_descriptors(dataset, store.portable(dataset), chosen)
    descriptors = filter_descriptors(dataset, store.descriptors(dataset, statuses=chosen.statuses), chosen)
    texts = as_json(dataset, items).encode()
    facts = {
        "format": FORMAT,
        "name": options.name,
        "version": options.version,
        "licence": options.licence,
        "dataset": dataset.name,
        "texts_sha256": hashlib.sha256(texts).hexdigest(),
        **_provenance(dataset, items),
        "lint": _lint(dataset, descriptors),
        "run": None if options.run is None else _run(store, options.run, dataset, descriptors),
    }
    module = f"descgen_pack_{options.name.replace('-', '_')}"
    files = {
        f"{module}/__init__.py": f'"""Texts for descgen and recognize: {options.name}."""\n'.encode(),
        f"{module}/{FACTS}": escaped(json.dumps(facts, ensure_ascii=False, indent=1) + "\n").encode(),
        f"{module}/{TEXTS}": texts,
    }
    points = f"[{GROUP}]\n{options.name} = {module}\n"
    wheel = write_wheel(
        folder, files, name=module, version=options.version, metadata=metadata(facts), entry_points=points
    )
    return BuiltPack(wheel, facts)


def _provenance(dataset: Dataset, items: Sequence[PortableDescriptor]) -> dict[str, Any]:
    """Return counts of texts by kind and writer, models and prompt templates, and the state of the review."""
    calls = {item.call.generation.cache_key: item.call for item in items if item.call}.values()
    models = {tuple(asdict(call.llm).items()) for call in calls}
    templates = {(call.template.kind, call.template.version, call.template.sha256) for call in calls}
    statuses = Counter(item.status for item in items)
    return {
        "classes": len(dataset.actions),
        "classes_with_texts": len({item.action for item in items}),
        "texts": len(items),
        "kinds": dict(sorted(Counter(item.kind for item in items).items())),
        "writers": dict(sorted(Counter(item.writer for item in items).items())),
        "models": [dict(model) for model in sorted(models)],
        "templates": [{"kind": kind, "version": n, "sha256": digest} for kind, n, digest in sorted(templates)],
        "review": {
            "accepted": statuses["accepted"],
            "pending": statuses["pending"],
            "edited": sum(bool(item.originals) for item in items),
            "by_hand": sum(item.source == "human" and not item.originals for item in items),
        },
    }


def _lint(dataset: Dataset, descriptors: Sequence[Descriptor]) -> dict[str, Any]:
    """Return how many findings each rule has, without the rule that needs an encoder."""
    report = lint_report(dataset, descriptors, Limits(items=template_items()), (), None)
    rules = Counter(finding.rule for finding in report.findings)
    return {"errors": report.errors, "warnings": report.warnings, "rules": dict(sorted(rules.items()))}


def _run(store: Store, name: int | str, dataset: Dataset, descriptors: Sequence[Descriptor]) -> dict[str, Any]:
    """Return the settings, accuracies and controls of a run of just these texts."""
    run = store.run(name)
    if run.dataset != dataset.name or set(run.descriptor_ids) != {descriptor.id for descriptor in descriptors}:
        raise UserError(
            f"Run {run.id} is on {run.dataset} with {len(run.descriptor_ids)} texts, which are not the "
            f"{len(descriptors)} of this pack on {dataset.name}. Give the same --kind, --llm and --status to both"
        )
    if "controls" not in run.results:
        raise UserError(f"Run {run.id} has no controls yet, and a pack includes them. Run: recognize controls {run.id}")
    settings = {name: run.settings[name] for name in _RUN_SETTINGS if name in run.settings}
    results = {name: run.results[name] for name in ("rows", "gain", "controls")}
    return {**public_settings(settings), "counts": dict(run.counts), **results}
