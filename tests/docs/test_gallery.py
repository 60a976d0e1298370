"""The gallery shows every shipped case with its title, description, run time and picture."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from pages import DOCS, ROOT

from fvqp.examples import Example

CASES = sorted((ROOT / "cases").rglob("*.toml"))


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module("gallery")


def test_every_case_has_a_card(gallery):
    cards = gallery.cards()
    files = {path.relative_to(ROOT / "cases").with_suffix("").as_posix() for path in CASES}
    assert {card.case.name for card in cards} == files
    assert all(card.case.title and card.description.endswith(".") for card in cards)
    page = gallery.page()
    assert page.count("grid-item-card") == len(cards)
    assert all(page.count(f"<../cases/{card.case.name}.toml>") == 1 for card in cards)
    assert gallery.PLACE in (DOCS / f"{gallery.PAGE}.md").read_text()


def test_pictures_of_the_gallery_exist(gallery, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    figures = importlib.import_module("figures")
    assert set(figures.CASE_OF) == set(figures.PICTURES) - {"front", "view"}
    shown = {card.picture for card in gallery.cards() if card.picture}
    assert len(shown) == len(set(figures.CASE_OF.values()))
    assert all((DOCS / "_static" / picture).is_file() for picture in shown)


@pytest.mark.parametrize(("head", "lines"), [("", 0), ("#   fvqp run\n", 0), (4 * "# Text.\n", 4)])
def test_head_of_a_case_file(gallery, tmp_path, head, lines):
    case = tmp_path / "wire.toml"
    case.write_text(f'{head}title = "A wire"\n')
    with pytest.raises(
        ValueError, match=rf"film/wire.toml: the file has to begin with 1 to 3 .*, here {lines};"
    ):
        gallery.card(Example("film/wire", case, "A wire", "2 min"), {})


@pytest.mark.parametrize("rest", ["#\n# Variants: none\n", "#   fvqp check wire.toml\n", "\n"])
def test_card_of_a_case(gallery, tmp_path, rest):
    case = tmp_path / "wire.toml"
    case.write_text(f'# The gap\n# along a wire.\n{rest}title = "A wire"\n')
    example = Example("film/wire", case, "A wire", "2 min")
    pictures = {"a": "film", "b": "film/wire", "c": "film/wire"}
    assert gallery.card(example, pictures) == (example, "The gap along a wire.", "b.png")
