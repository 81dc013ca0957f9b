"""Match the class names of an imported file with the classes of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from db.errors import UserError
from db.label_tables import is_number
from db.numbering import counted_from
from db.records import Dataset
from db.vocabulary import class_finder

Texts = Mapping[str, Sequence[str]]  # key of the file, a class name or a label index -> its texts


def match(dataset: Dataset, texts: Texts, *, file: str, sizes: Mapping[str, int]) -> dict[str, str]:
    """Return key of the file -> action name, for the keys that mean an action.

    Keys are names or phrases, matched by `db.vocabulary.class_finder`. If every key is a number and no class has such a
    name, they are label indices, counted from 0 or 1.

    Args:
        dataset: the classes.
        texts: by key, in the order of the file.
        file: its name, for messages.
        sizes: number of classes of each known dataset.

    Raises:
        UserError: there is not one index for each class, or a text begins with the name of another class.
    """
    names = {action.name for action in dataset.actions}
    if texts and all(map(is_number, texts)) and names.isdisjoint(texts):
        return _by_index(dataset, texts, file, sizes)
    find = class_finder(dataset)
    return {key: action.name for key in texts if (action := find(key))}


def _by_index(dataset: Dataset, texts: Texts, file: str, sizes: Mapping[str, int]) -> dict[str, str]:
    indices = [int(key) for key in texts]
    first = counted_from(indices)
    if first is None or len(indices) != len(dataset.actions):
        raise UserError(_other_count(dataset, indices, file, sizes))
    names = {key: dataset.actions[int(key) - first].name for key in texts}
    find = class_finder(dataset)
    for key, (text, *others) in texts.items():
        claimed = find(text) or find(text.partition(":")[0])  # FROSTER: "Clap: A person is clapping ..."
        if claimed and not others and claimed.name != names[key]:
            raise UserError(
                f"{file} counts the classes in another order than {dataset.name}: its text of index {key} begins with "
                f"{text[:40]!r}, and this class of {dataset.name} is {names[key]}. Write class names instead of indices"
            )
    return names


def _other_count(dataset: Dataset, indices: Sequence[int], file: str, sizes: Mapping[str, int]) -> str:
    count = len(indices)
    fitting = [name for name, size in sizes.items() if size == count]
    hint = f"No known dataset has {count} classes"
    if fitting and counted_from(indices) is not None:
        hint = f"It would fit: {', '.join(f'--dataset {name}' for name in fitting)}"
    return (
        f"{file} is keyed by label index, with {count} indices from {min(indices)} to {max(indices)}. {dataset.name} "
        f"has {len(dataset.actions)} classes, and such a file needs one index for each, from 0 or 1 without a gap, or "
        f"texts go to wrong classes. {hint}. Or write class names instead of indices"
    )
