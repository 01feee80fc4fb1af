"""The articles' claims: each small measurement bears out the verdict beside it."""

import re
from pathlib import Path

import pytest

from minires.lab.article_claims import CLAIMS
from minires.lab.article_trials import overfitting
from minires.lab.experiments import articles

TUTORIALS = Path(__file__).parents[2] / "tutorials"
ELSEWHERE = (overfitting,)  # test_trial_bands trains those networks


@pytest.mark.parametrize(
    "claim", [claim for claim in CLAIMS if claim.try_it not in ELSEWHERE], ids=lambda c: c.claim[:30]
)
def test_measurement_bears_the_verdict_out(claim):
    tried = claim.try_it(0)
    assert tried.words and tried.holds is not False, tried.words


def test_verdicts_and_chapters_are_known():
    chapters = {int(path.name[:2]) for path in TUTORIALS.glob("[0-9][0-9]_*.py")}
    for claim in CLAIMS:
        assert claim.verdict in articles.VERDICTS
        named = re.findall(r"\b\d+\b", claim.explained_in)
        assert {int(number) for number in named} <= chapters
        assert claim.explained_in or claim.verdict == "no claim"


def test_a_measurement_that_came_out_otherwise_is_said():
    row = {"number": 1, "claim": "It rains.", "measured": "the sun", "verdict": "right", "holds": False,
           "why": "Look.", "explained_in": "chapter 1"}  # fmt: skip
    found = articles.judge({"claims": [row, row | {"number": 2, "holds": None}]}, {})
    assert found.answer == "open" and "1 (It rains.)" in found.words
    assert not found.findings[-1].inside
