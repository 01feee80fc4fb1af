"""What five introductory articles say about residual networks, claim by claim, each tried where it can be tried.

The claims are given in our words; what tries them is in `article_claims.py`.
"""

from collections.abc import Iterator

from minires.lab.article_claims import CLAIMS
from minires.lab.experiment import Experiment, Finding, Row, Settings, Tables, Verdict
from minires.lab.progress import Progress

VERDICTS = ("right", "half right", "wrong", "missing", "no claim")


def run(settings: Settings, progress: Progress) -> Iterator[tuple[str, Row]]:
    progress.start(sum([claim.units for claim in CLAIMS]))
    for number, claim in enumerate(CLAIMS, start=1):
        progress.doing(f"claim {number}")
        tried = claim.try_it(settings["seed"])
        yield "claims", {
            "number": number, "articles": claim.articles, "claim": claim.claim, "measured": tried.words,
            "verdict": claim.verdict, "holds": tried.holds, "why": claim.why, "explained_in": claim.explained_in,
        }  # fmt: skip
        progress.advance(claim.units)


def judge(tables: Tables, settings: Settings) -> Verdict:
    rows = tables["claims"]
    count = {verdict: len([row for row in rows if row["verdict"] == verdict]) for verdict in VERDICTS}
    tried = [row for row in rows if row["holds"] is not None]
    astray = [f"{row['number']} ({row['claim']})" for row in tried if not row["holds"]]
    findings = [
        Finding("claims", len(rows), len(CLAIMS), len(CLAIMS), ".0f"),
        Finding("of them tried by a measurement", len(tried), low=1, spec=".0f"),
        Finding(
            "measurements that came out as the verdict says", len(tried) - len(astray), len(tried), len(tried), ".0f"
        ),
    ]
    words = (
        f"Of {len(rows)} claims {count['right']} are right, {count['half right']} half right, {count['wrong']} "
        f"wrong; {count['missing']} times something is missing that a reader needs, and {count['no claim']} say "
        f"nothing that could be tried. {len(tried)} were measured here; claims.csv has each with its verdict and "
        "its chapter."
    )
    lines = [sentence(row) for row in rows]
    if astray:
        words += f" At this size the measurement did not bear out: {'; '.join(astray)}."
        return Verdict("open", words, findings, lines=lines)
    return Verdict("half right", words, findings, lines=lines)


def sentence(row: Row) -> str:
    """Say a claim's row in one line."""
    where = f" ({row['explained_in']})" if row["explained_in"] else ""
    head = f"{row['number']:>2}. {row['verdict'].upper()}: {row['claim']}"
    return f"{head} Measured: {row['measured']}. {row['why']}{where}"


EXPERIMENT = Experiment(
    name="articles",
    claim="What introductory articles say about residual networks is right.",
    source="five introductory articles on ResNet, numbered 000 to 004; their claims in our words",
    expected="every measurement comes out as the verdict beside it says",
    would_change="networks of a size at which a measurement is not made here",
    settings={},
    seconds=7,
    run=run,
    judge=judge,
)
