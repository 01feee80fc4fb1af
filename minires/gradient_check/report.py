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
    relative_error: float = 0.0  # the same over max(|backward|, |numeric|, atol / rtol)
    index: str = ""
    backward: float = 0.0
    numeric: float = 0.0
    checked: int = 0  # elements and directions compared
    wrong: int = 0
    kinks: int = 0  # elements and directions left out: the function has no derivative there
    largest: float = 0.0  # the largest |numeric| seen; 0 says that the gradient vanishes
    diagnosis: str = ""  # the kind of mistake that fits, where one does
    elements: Array | None = field(default=None, repr=False)  # finite differences, if every element was computed

    @property
    def ok(self) -> bool:
        return self.wrong == 0 and self.checked > 0

    def __str__(self) -> str:
        kinks = f", {self.kinks} on a kink left out" if self.kinks else ""
        vanishes = ", the gradient is zero" if self.largest == 0 else ""
        return (
            f"{self.name} {self.shape}: {'ok' if self.ok else 'WRONG'}, worst relative error {self.relative_error:.1e} "
            f"at {self.index}: backward {self.backward:.9g}, numeric {self.numeric:.9g} "
            f"({self.checked} checked{kinks}{vanishes})"
        )


@dataclass
class Report:
    """What was checked (`subject`, an op or a chain of them), argument by argument."""

    subject: str
    arguments: list[ArgumentReport] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(argument.ok for argument in self.arguments)

    @property
    def relative_error(self) -> float:
        """The worst relative error of all arguments."""
        return max((argument.relative_error for argument in self.arguments), default=0.0)

    @property
    def checked(self) -> int:
        return sum(argument.checked for argument in self.arguments)

    @property
    def kinks(self) -> int:
        return sum(argument.kinks for argument in self.arguments)

    def __str__(self) -> str:
        return "\n".join([self.subject, *(f"  {argument}" for argument in self.arguments)])


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
    wrong = [argument for argument in report.arguments if not argument.ok]
    for argument in wrong[:SHOWN]:
        lines.append(
            f"  with respect to {argument.name}, shape {argument.shape}: {argument.wrong} of {argument.checked} wrong, "
            f"the worst at {argument.index}: backward gives {argument.backward:.9g}, finite differences give "
            f"{argument.numeric:.9g} (relative error {argument.relative_error:.1e})"
        )
        if argument.diagnosis:
            lines.append(f"    {argument.diagnosis}")
    if len(wrong) > SHOWN:
        lines.append(f"  and with respect to {', '.join([argument.name for argument in wrong[SHOWN:]])}")
    right = [argument.name for argument in report.arguments if argument.ok]
    if right:
        lines.append(f"  right with respect to: {', '.join(right)}")
    return "\n".join(lines)
