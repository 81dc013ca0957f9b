"""Make `schema-NNNN.db`: a database of each revision that was ever on main, made by that revision's own migrations.

Run it in a checkout of that revision (`python tests/data/make_schemas.py NNNN FILE`): a file is made once and stays.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

ROWS = """
INSERT INTO dataset (id, name) VALUES (1, 'hmdb51');
INSERT INTO action (id, dataset_id, label, name, phrase) VALUES (7, 1, 50, 'wave', 'waving a hand');
INSERT INTO llm (id, provider, model, revision) VALUES (3, 'fake', 'fake', '1');
INSERT INTO template (id, kind, version, sha256, source) VALUES (4, 'context', 1, 'abc', 'source');
INSERT INTO generation (id, cache_key, attempt, action_id, template_id, llm_id, sample, parameters, environment,
  messages, output_schema, reply, finish_reason, status, tokens_in, tokens_out, seconds, created_at) VALUES
  (5, 'key', 1, 7, 4, 3, 0, '{}', '{}', '[]', '{}', '{"a": 1}', 'stop', 'ok', 1, 2, 0.5, '2026-01-01 00:00:00');
INSERT INTO descriptor (id, action_id, kind, position, text, source, generation_id, status, version, created_at) VALUES
  (11, 7, 'context', 0, 'a hand', 'llm', 5, 'accepted', 2, '2026-01-01 00:00:00');
"""


def make(revision: str, file: Path) -> None:
    """Make a database of a revision, with a descriptor in it."""
    config = Config()
    config.set_main_option("script_location", "db:migrations")
    with create_engine(f"sqlite:///{file}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    with sqlite3.connect(file) as raw:
        raw.executescript(ROWS)
        raw.executescript("PRAGMA page_size=512; VACUUM;")


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
