"""What a gradient check found: one line per argument, and the error that carries it."""

from dataclasses import dataclass, field

from minires.kernels import Array

SHOWN = 5  # wrong arguments that an error describes in full; a model has hundreds


@dataclass
class ArgumentReport:
    """The gradient with respect to one argument, by backward and by finite differences.

    The worst place is the element, or the direction, where |backward − numeric| is largest against its tolerance;
    `index` names it, `backward` and `numeric` are the two numbers there.
    """

    name: str
    shape: tuple[int, ...]
    absolute_error: float = 0.0  # at the worst place
    relative_error: float = 0.0  # the same over max(|backward|, |numeric|)
    index: str = ""
    backward: float = 0.0
    numeric: float = 0.0
    checked: int = 0  # elements and directions compared
    wrong: int = 0
    kinks: int = 0  # elements and directions left out: the function has no derivative there
    undecided: int = 0  # of those checked: the gradient there is lost in the function's own rounding
    below: float = 0.0  # what is smaller than this cannot be told from 0
    largest: float = 0.0  # the largest |numeric| seen; 0 says that the gradient vanishes
    op_by_op: bool = False  # the whole function could not be compared; each op that it is made of was, by itself
    diagnosis: str = ""  # the kind of mistake that fits, where one does
    gradient: Array | None = field(default=None, repr=False)  # backward's
    slopes: list[tuple[Array, float]] = field(default_factory=list, repr=False)  # directions, and what differences give
    elements: Array | None = field(default=None, repr=False)  # finite differences, if every element was computed

    @property
    def ok(self) -> bool:
        """Nothing is wrong, and something was decided."""
        return self.wrong == 0 and (self.checked > self.undecided or self.op_by_op)

    @property
    def verdict(self) -> str:
        if self.wrong:
            return "WRONG"
        return "ok" if self.ok else "undecided"

    def __str__(self) -> str:
        kinks = f", {self.kinks} on a kink left out" if self.kinks else ""
        if self.wrong == 0 and self.op_by_op:
            return f"{self.name} {self.shape}: ok, op by op: the whole runs into kinks"
        if not self.wrong and not self.ok:
            return (
                f"{self.name} {self.shape}: undecided: all of it is below {self.below:.1e}, which is lost in the "
                f"function's own rounding ({self.checked} checked{kinks})"
            )
        lost = f", {self.undecided} of them below {self.below:.1e} and undecided" if self.undecided else ""
        return (
            f"{self.name} {self.shape}: {self.verdict}, worst relative error {self.relative_error:.1e} "
            f"at {self.index}: backward {self.backward:.9g}, numeric {self.numeric:.9g} "
            f"({self.checked} checked{lost}{kinks})"
        )


@dataclass
class Report:
    """What was checked (`subject`, an op or a chain of them), argument by argument."""

    subject: str
    arguments: list[ArgumentReport] = field(default_factory=list)
    note: str = ""  # what holds for several arguments

    @property
    def ok(self) -> bool:
        """Every argument's gradient is right."""
        return all(argument.ok for argument in self.arguments)

    @property
    def wrong(self) -> bool:
        """Some argument's gradient is wrong; neither `ok` nor `wrong`: some of it could not be decided."""
        return any(argument.wrong for argument in self.arguments)

    @property
    def relative_error(self) -> float:
        """The worst relative error of all arguments of which anything was decided."""
        decided = [argument.relative_error for argument in self.arguments if argument.verdict != "undecided"]
        return max(decided, default=0.0)

    @property
    def checked(self) -> int:
        return sum(argument.checked for argument in self.arguments)

    @property
    def kinks(self) -> int:
        return sum(argument.kinks for argument in self.arguments)

    def __str__(self) -> str:
        note = [f"  {self.note}"] if self.note else []
        return "\n".join([self.subject, *(f"  {argument}" for argument in self.arguments), *note])

    def _repr_html_(self) -> str:
        from minires.displays import check_html  # where there is a notebook

        verdict = "WRONG" if self.wrong else "ok" if self.ok else "undecided"
        return check_html(self.subject, verdict, str(self).splitlines()[1:])


class GradientError(AssertionError):
    """A backward pass is wrong. `.report` holds what was found until then."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


def describe_failure(report: Report, culprit: str = "") -> str:
    """Write the message for a report that is not ok: each wrong argument, both numbers, and the mistake that fits."""
    lines = [f"the gradient of {report.subject} is wrong"]
    if culprit:
        lines.append(f"  {culprit}")
    wrong = [argument for argument in report.arguments if argument.wrong]
    for argument in wrong[:SHOWN]:
        lines.append(
            f"  with respect to {argument.name}, shape {argument.shape}: {argument.wrong} of {argument.checked} wrong, "
            f"the worst at {argument.index}: backward gives {argument.backward:.9g}, finite differences give "
            f"{argument.numeric:.9g} (relative error {argument.relative_error:.1e})"
        )
        if argument.diagnosis:
            lines += [f"    {line}" for line in argument.diagnosis.splitlines()]
    if len(wrong) > SHOWN:
        lines.append(f"  and with respect to {', '.join([argument.name for argument in wrong[SHOWN:]])}")
    right = [argument.name for argument in report.arguments if argument.ok]
    if right:
        lines.append(f"  right with respect to: {', '.join(right)}")
    undecided = [argument.name for argument in report.arguments if argument.verdict == "undecided"]
    if undecided:
        lines.append(f"  undecided, lost in rounding, with respect to: {', '.join(undecided)}")
    return "\n".join(lines)
