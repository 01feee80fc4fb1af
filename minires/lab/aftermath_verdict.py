"""What `aftermath` says: what is settled over the seeds, what is not, and its tables in words."""

from minires.lab import conclusions
from minires.lab.conclusions import NOTHING
from minires.lab.experiment import Finding, Row, Settings, Tables, Verdict

HELPS = 0.05  # of guessing's loss: by so much an intervention must end below none, to be counted
MOST = 0.75  # of the seeds: in so many it must help, to be called a cure
LOOKS = {"rank": ".1f", "likeness": ".2f", "flipped": ".0%"}  # what of the outputs is said, and how
WORDS = {
    "nothing": "nothing is put back",
    "convolutions": "the convolutions' values go back",
    "scales": "the norms' scales go back",
    "shifts": "the norms' shifts go back",
    "scales and shifts": "the norms' scales and shifts go back",
    "all but the classifier": "all but the classifier goes back",
    "clipped": "from the start, gradients are clipped to norm 1",
    "warmed up": "from the start, the learning rate is warmed up",
}


def judge(tables: Tables, settings: Settings) -> Verdict:
    """Say what is settled over the seeds of the deepest network at its largest rate, and what is not."""
    depth, lr = max(settings["depths"]), max(settings["lr"])
    rows = [row for row in tables["interventions"] if (row["depth"], row["lr"]) == (depth, lr)]
    looks = [row for row in tables["outputs"] if (row["depth"], row["lr"]) == (depth, lr)]
    beside = [row for row in looks if row["network"] == f"residual-{depth}"]
    looks = [row for row in looks if row["network"] == f"plain-{depth}"]
    of = {name: [row for row in rows if row["intervention"] == name] for name in settings["interventions"]}
    findings = findings_of(rows, of.get("nothing", []), looks, settings)
    lines = table_in_words(tables, settings)
    if "nothing" not in of:
        return Verdict("open", "It takes one to which nothing is done, beside the others.", findings, lines=lines)
    ends, guessing = [row["loss_end"] for row in of["nothing"]], rows[0]["guessing"]
    if None not in ends and max(ends) <= NOTHING * guessing:
        words = f"plain-{depth} learns by itself, to a loss of {span(ends, '.2f')}: nothing needs to be put back."
        return Verdict("open", words, findings, open="A deeper network, or a larger rate.", lines=lines)
    seeds = settings["seeds"]
    helped = {name: helps(of[name], of["nothing"]) for name in of if name != "nothing"}
    settled = all(finding.inside for finding in findings)
    words = first_steps(settled, looks, beside, settings)
    words += " Put back, it then learns better than with nothing put back: "
    if seeds == 1:
        words += f"{', '.join([name for name, count in helped.items() if count]) or 'none of these'}."
    else:
        words += ", ".join([f"{name} in {count} of {counted(seeds)}" for name, count in helped.items()]) + "."
    if seeds == 1:
        return Verdict("open", words, findings, open="One seed settles nothing: --seeds 10.", lines=lines)
    cure = helped.get("convolutions", 0) >= MOST * seeds
    left = (
        "Why putting the convolutions' values back helps in most seeds and not in all, and the norms' scales in some; "
        "how much of the damage is one of direction and how much of size; other depths, rates and images."
    )
    later = [row["rank"] for row in beside if row["step"] == settings["at"]]
    if later and max(later) < 0.5 * max([row["rank"] for row in beside if row["step"] == 0]):
        left += (
            f" Nor is the number of directions alone the damage: after {settings['at']} steps "
            f"{span(later, '.1f')} are left with skips too, and that network learns."
        )
    return Verdict("half right" if settled and cure else "open", words, findings, open=left, lines=lines)


def findings_of(rows: list[Row], nothing: list[Row], looks: list[Row], settings: Settings) -> list[Finding]:
    """The numbers that the claim is about, of all seeds the one that speaks against it most."""
    words = counted(settings["seeds"])
    starts = [row["log10_ratio_start"] for row in rows]
    findings = [Finding(f"log10 of the ratio before training, the smallest of {words}", least(starts), low=2)]
    if nothing:
        ratios = [row["log10_ratio_at"] for row in nothing]
        shares = [None if row["loss_end"] is None else row["loss_end"] / row["guessing"] for row in nothing]
        findings += [
            Finding(f"log10 of the ratio after {settings['at']} steps, the largest", most(ratios), high=1.5),
            Finding(f"loss at step {settings['steps']} over guessing's, the smallest", least(shares), low=NOTHING),
        ]
    if looks:
        before = {row["seed"]: row["rank"] for row in looks if row["step"] == 0}
        left = [row["rank"] / before[row["seed"]] for row in looks if row["step"] == 1]
        what = f"directions that {looks[0]['output']} fills after one step over before, the largest share"
        findings.append(Finding(what, most(left), high=0.5))
    return findings


def first_steps(settled: bool, looks: list[Row], beside: list[Row], settings: Settings) -> str:
    """Say what the first steps do."""
    where = f"in {counted(settings['seeds'])}"
    if not settled:
        return f"What was expected is not so {where}: see above."
    at = settings["at"]
    words = f"The gradient explodes before training, not any more after {at} steps, and nothing is learned, {where}."
    if looks:
        ranks = {step: span([row["rank"] for row in looks if row["step"] == step], ".1f") for step in (0, 1)}
        flips = span([row["flipped"] for row in looks if row["step"] == 1], ".0%")
        words += (
            f" One step is enough to spoil the early layers: {looks[0]['output']} fills {ranks[1]} directions instead "
            f"of {ranks[0]}, and {flips} of its units have changed between on and off; by chance it would be 50%."
        )
    if beside:
        ranks = {step: span([row["rank"] for row in beside if row["step"] == step], ".1f") for step in (0, 1)}
        flips = span([row["flipped"] for row in beside if row["step"] == 1], ".0%")
        words += f" With skips {ranks[1]} directions of {ranks[0]} are left, and {flips} of the units have changed."
    return words


def helps(rows: list[Row], nothing: list[Row]) -> int:
    """Count the seeds in which an intervention ends lower than none, by a margin."""
    pairs = [(row["loss_end"], other["loss_end"]) for row, other in zip(rows, nothing, strict=True)]
    margin = HELPS * nothing[0]["guessing"]
    return sum([mine is not None and (theirs is None or mine < theirs - margin) for mine, theirs in pairs])


def table_in_words(tables: Tables, settings: Settings) -> list[str]:
    """Say the tables in lines that need no legend."""
    lines = []
    for depth, lr in dict.fromkeys([(row["depth"], row["lr"]) for row in tables["interventions"]]):
        rows = [row for row in tables["interventions"] if (row["depth"], row["lr"]) == (depth, lr)]
        lines.append(f"plain-{depth}, lr {lr}: the gradient at the stem over the last block's, and what is learned")
        lines.append(f"  before training: {powers([row['log10_ratio_start'] for row in rows])}")
        for name in dict.fromkeys([row["intervention"] for row in rows]):
            own = [row for row in rows if row["intervention"] == name]
            losses = [row["loss_end"] for row in own]
            lines.append(f"  {WORDS[name]}: {powers([row['log10_ratio_at'] for row in own])}; trained on, loss "
                         f"{span(losses, '.2f')}, {learned(losses, own[0]['guessing'])}")  # fmt: skip
        looks = [row for row in tables["outputs"] if (row["depth"], row["lr"]) == (depth, lr)]
        for name, step in dict.fromkeys([(row["network"], row["step"]) for row in looks]):
            own = [row for row in looks if (row["network"], row["step"]) == (name, step)]
            rank, likeness, changed = (span([row[key] for row in own], spec) for key, spec in LOOKS.items())
            steps = "before training" if step == 0 else "after 1 step" if step == 1 else f"after {step} steps"
            place = f"{name}, {own[0]['output']} {steps}"
            lines.append(f"  {place}: its outputs for {settings['batch_size']} images fill {rank} "
                         f"directions, two images' have a cosine of {likeness}"
                         + (f", {changed} of its units have changed between on and off" if step else ""))  # fmt: skip
    return lines


def learned(losses: list[float | None], guessing: float) -> str:
    known = [loss for loss in losses if loss is not None]
    if len(known) < len(losses):
        return "it diverges"
    kinds = sorted({conclusions.learned(loss, guessing) for loss in known})
    return " or ".join(kinds)


def counted(seeds: int) -> str:
    return "one seed" if seeds == 1 else f"{seeds} seeds"


def powers(logs: list[float | None]) -> str:
    """Say a factor of each seed: "10^3.5 … 10^3.7"."""
    known = sorted({f"{log:.1f}" for log in logs if log is not None}, key=float)
    return " … ".join([f"10^{word}" for word in dict.fromkeys([known[0], known[-1]])]) if known else "no number"


def span(values: list[float | None], spec: str) -> str:
    known = [value for value in values if value is not None]
    ends = [format(min(known), spec), format(max(known), spec)] if known else ["no number"]
    return " … ".join(dict.fromkeys(ends))


def least(values: list[float | None]) -> float | None:
    return None if None in values else min([value for value in values if value is not None])


def most(values: list[float | None]) -> float | None:
    return None if None in values else max([value for value in values if value is not None])
