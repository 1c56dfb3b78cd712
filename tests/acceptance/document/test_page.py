"""The document is read whole: no block of it goes without a test."""

import hashlib
import re
from pathlib import Path

from tests.acceptance.document.page import BLOCKS, DOCUMENT, RENAMED

OWNERS = "eab47d6a5cdda6b0dc8e01d1e0467ebf7d2869c1cfda6c43ec30b89648a5f6ba"


def test_the_document_is_the_owners_word_for_word() -> None:
    assert hashlib.sha256(DOCUMENT.read_bytes()).hexdigest() == OWNERS


def test_every_block_of_the_document_is_found() -> None:
    assert len(BLOCKS) == DOCUMENT.read_text().count("```python") == 16


def test_every_block_is_found_by_its_chapter_and_topic() -> None:
    assert len({(block.chapter, block.topic) for block in BLOCKS}) == len(BLOCKS)


def test_every_chapter_has_a_file_of_tests() -> None:
    names = {re.sub("[^a-z]+", "_", block.chapter.lower()) for block in BLOCKS}

    files = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}

    assert files - {"page"} == names


def test_nothing_but_the_import_root_is_changed() -> None:
    changed = {line for block in BLOCKS for line in block.source.splitlines()} - set(
        DOCUMENT.read_text().splitlines()
    )

    assert all(line.startswith(tuple(RENAMED.values())) for line in changed)
