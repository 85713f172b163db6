"""The game of the page is added to a copy of the product as it stands there, switched on, and tested."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Page, page

PAGE = page("docs/your-own-game.md")
# Texts are fenced as `yml`: blocks in `yaml` are whole configurations, and loaded as such.
_FILE = re.compile(r"^`([\w./-]+)`:\n\n```(?:python|yml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TERMS = """
import json
import sys

from bot.api.rounds import RoundForm
from bot.config import Config, resolve_communities
from bot.rounds.terms import check_terms, load_terms
from bot.yaml_tree import read_yaml
from handlers.number_bomb import router

(game,), terms = router.games, load_terms()
form = RoundForm.model_validate_json(sys.argv[1])
own = {"id": "own", "games": {"own": read_yaml(sys.argv[2].encode()).tree}}
communities = resolve_communities(Config.model_validate({"communities": [own, {"id": "usual"}]}))
check_terms(terms, communities, {"number_bomb": game})
found, usual = (terms.of(community, "number_bomb") for community in communities)
print(json.dumps([game.play.prepare(form.model_extra).pot, found.life_s, found.settings, usual.life_s]))
"""
_COPIED = ("handlers", "games", "content", "run.py", "config.yaml", "pyproject.toml")


def _files(of: Page) -> dict[str, str]:
    """Return the files that the page prints, by their path."""
    return dict(_FILE.findall(of.text))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The product with the files of the page in it, and the one line of configuration."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / "bot").symlink_to(ROOT / "bot")
    for name, text in _files(PAGE).items():
        assert not (folder / name).exists(), f"{name} would take the place of a file of the product"
        (folder / name).write_text(text, encoding="utf-8")
    config, (line,) = folder / "config.yaml", re.findall(r"`(plugins: \[.+?\])`", PAGE.prose)
    text, changed = re.subn(r"^plugins: \[\]", line, config.read_text("utf-8"), flags=re.MULTILINE)
    assert changed == 1
    config.write_text(text, encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


def _run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_test_of_the_page_passes_as_it_stands(checkout: Path) -> None:
    line = PAGE.block("sh")[0].splitlines()[-1]
    _, *arguments = line.split()
    assert " passed" in _run(checkout, *arguments, "-q", "-p", "no:cacheprovider")


def test_the_plug_in_passes_the_check_and_its_texts_are_found(checkout: Path) -> None:
    assert _run(checkout, "run.py", "check") == "config.yaml: well\n"


def test_the_order_and_the_terms_of_the_page_are_accepted(checkout: Path) -> None:
    (order,) = [span for span in PAGE.spans if span.startswith('{"game"')]
    (terms,) = [span for span in PAGE.spans if span.startswith("number_bomb: {")]
    assert json.loads(order)["game"] == "number_bomb"
    (checkout / "terms.py").write_text(_TERMS, encoding="utf-8")
    assert json.loads(_run(checkout, "terms.py", order, terms)) == [50, 600, {"prize": 50}, 3600]


def test_nothing_of_the_page_is_in_the_product() -> None:
    assert [name for name in _files(PAGE) if (ROOT / name).exists()] == []
    assert len(_files(PAGE)) == 5
