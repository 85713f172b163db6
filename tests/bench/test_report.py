from __future__ import annotations

from pathlib import Path

import pytest

from bench.report import BEGIN, END, Row, render, write_into
from bot.errors import RefusedError


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_into(document, "new")
    assert document.read_text(encoding="utf-8") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["nothing", BEGIN, END, f"{END}{BEGIN}"])
def test_a_document_without_both_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError, match=r"benchmarks\.md"):
        write_into(document, "new")
    assert document.read_text(encoding="utf-8") == text


def test_absolute_figures_of_this_machine_are_printed_and_not_published() -> None:
    rows = [Row("speed", "0.61", "0.58–0.64", "≥ 0.60", met=True, absolute="12,345/s")]
    assert "| speed | 0.61 | 0.58–0.64 | ≥ 0.60 | yes | 12,345/s |" in render(rows, absolute=True)
    assert "12,345" not in render(rows, absolute=False)
