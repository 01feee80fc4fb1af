"""Name the mistake in an answer by fitting it: which term of the right one is dropped, doubled, of the wrong sign?

Whoever knows the right answer writes it down as *terms*, named arrays that add up to it, and lists *variants*, what it
becomes with a mistake that people make. An answer is then compared with the variants, and regressed on the terms: a
coefficient 0 says that a term was dropped, −1 that its sign is wrong, M / N that N stands where M belongs.

A mistake is named only if it, applied to the right answer, gives the answer on every sample, inputs of other numbers
and other sizes. What fits nothing gets no name; `picture` shows where it is wrong.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minires.gradient_check.transformations import of_result, of_what_arrives
from minires.kernels import Array

CLOSE = 1e-8  # of the largest number: far above rounding, far below a mistake
WHOLE = "it"  # the name of the only term

Terms = Mapping[str, Array]


@dataclass(frozen=True)
class Right:
    """The right answer and its typical mistakes, as functions of the same arguments as the function examined.

    terms: the named arrays that add up to it, or one array. variants: a sentence for each mistake, with what the answer
    becomes: an array, or the terms of the same names. sizes: numbers that may be mistaken for each other (N, M, K);
    divisor: the one of them by which the formula divides.
    arrives: the first argument is the gradient that arrived, in which the answer is linear. close: of the comparisons.
    """

    terms: Callable[..., Terms | Array]
    variants: Mapping[str, Callable[..., Terms | Array]] = field(default_factory=dict)
    sizes: Callable[..., Mapping[str, float]] | None = None
    divisor: str = ""
    arrives: bool = True
    close: float = CLOSE

    def of(self, arguments: Sequence[Any]) -> Array:
        return total(self.terms(*arguments))


@dataclass(frozen=True)
class Sample:
    """One set of arguments, and the answer for it."""

    arguments: tuple[Any, ...]
    given: Array


def total(terms: Terms | Array) -> Array:
    if not isinstance(terms, Mapping):
        return np.asarray(terms)
    arrays = list(terms.values())
    result = np.asarray(arrays[0])
    for term in arrays[1:]:
        result = result + term
    return result


def named(terms: Terms | Array) -> Terms:
    return terms if isinstance(terms, Mapping) else {WHOLE: np.asarray(terms)}


def same(one: Array, other: Array, close: float = CLOSE) -> bool:
    """Whether two arrays agree to `close` of the largest number in them."""
    if np.shape(one) != np.shape(other):
        return False
    with np.errstate(all="ignore"):
        scale = max(np.abs(one).max(initial=0), np.abs(other).max(initial=0))
        return bool(np.isfinite(scale) and np.abs(one - other).max(initial=0) <= close * scale)


def name_mistake(right: Right, samples: Sequence[Sample]) -> str:
    """Return a sentence for the mistake that gives the answers of all samples, "" if none does or nothing is wrong."""
    wanted = [right.of(sample.arguments) for sample in samples]
    given = [np.asarray(sample.given) for sample in samples]
    if all(same(one, other, right.close) for one, other in zip(given, wanted, strict=True)):
        return ""
    if not all(np.isfinite(one).all() for one in given):
        return not_finite(given)
    sizes = [right.sizes(*sample.arguments) if right.sizes else {} for sample in samples]
    if all(not one.any() for one in given):
        return "it is 0 everywhere: nothing comes back" if right.arrives else "it is 0 everywhere"
    for sentence, values in listed(right, samples):
        if all(same(one, other, right.close) for one, other in zip(given, map(total, values), strict=True)):
            return sentence
    said = fitted(
        [named(right.terms(*sample.arguments)) for sample in samples], given, sizes, right.close, right.divisor
    )
    if said:
        return said
    for sentence, values in [*transformed(right, samples, wanted), *listed(right, samples)]:
        if all(same(total(one), other, right.close) for one, other in zip(values, wanted, strict=True)):
            continue  # no mistake on these samples: whatever fits, fits otherwise
        # A second mistake by a number without a name fits too easily: it would be no explanation.
        said = fitted([named(value) for value in values], given, sizes, right.close, right.divisor, constants=False)
        if said is not None:
            return f"{sentence}; besides, {said}" if said else sentence
    return ""


def not_finite(given: Sequence[Array]) -> str:
    off = np.count_nonzero(~np.isfinite(given[0]))
    return f"{off} of {given[0].size} numbers are not finite" if off else "for other inputs it is not finite"


def listed(right: Right, samples: Sequence[Sample]) -> Iterator[tuple[str, list[Any]]]:
    """Yield each variant's sentence, with what the answer becomes for every sample."""
    for sentence, variant in right.variants.items():
        with np.errstate(all="ignore"):
            yield sentence, [variant(*sample.arguments) for sample in samples]


def transformed(right: Right, samples: Sequence[Sample], wanted: Sequence[Array]) -> Iterator[tuple[str, list[Array]]]:
    """Yield what the right answer becomes if what arrived, or the answer itself, is treated in a wrong way."""
    if right.arrives:
        for sentence, change in of_what_arrives(samples[0].arguments[0]):
            yield sentence, [right.of((change(s.arguments[0]), *s.arguments[1:])) for s in samples]
    for sentence, change in of_result(wanted[0]):
        yield sentence, [change(one) for one in wanted]


def fitted(
    terms: Sequence[Terms],
    given: Sequence[Array],
    sizes: Sequence[Mapping[str, float]],
    close: float,
    divisor: str,
    constants: bool = True,
) -> str | None:
    """Say with which coefficients the terms add up to the answers: "" if with 1 each, None if with none that has a
    name; constants: 0.7 is a name."""
    found = [coefficients(one, answer, close) for one, answer in zip(terms, given, strict=True)]
    if any(one is None for one in found):
        return None
    names = list(terms[0])
    said: dict[str, list[str]] = {}  # what is said, and of which terms
    for name in names:
        factor = name_factor([one[name] for one in found if one is not None], sizes, close, divisor, constants)
        if factor is None:
            return None
        if factor:
            said.setdefault(factor, []).append(name)
    return "; ".join([say(factor, which, len(which) == len(names)) for factor, which in said.items()])


def coefficients(terms: Terms, given: Array, close: float) -> dict[str, float] | None:
    """Return the coefficient of each term in the answer, NaN for one that could have any; None if they do not add up to
    it, or could in several ways."""
    if any(np.shape(term) != np.shape(given) or not np.isfinite(term).all() for term in terms.values()):
        return None
    there = {name: np.ravel(term).astype(np.float64) for name, term in terms.items() if np.any(term)}
    if not there and not np.any(given):
        return dict.fromkeys(terms, np.nan)
    if not there or np.size(given) < 2 * len(there) and len(there) > 1:
        return None
    norms = {name: np.linalg.norm(term) for name, term in there.items()}
    matrix = np.stack([term / norms[name] for name, term in there.items()], axis=1)
    solution, _, _, singular = np.linalg.lstsq(matrix, np.ravel(given), rcond=None)
    if singular[-1] < 1e-4 or not same(matrix @ solution, np.ravel(given), 10 * close):
        return None
    found = {name: float(value / norms[name]) for name, value in zip(there, solution, strict=True)}
    return {name: found.get(name, np.nan) for name in terms}


def name_factor(
    values: Sequence[float],
    sizes: Sequence[Mapping[str, float]],
    close: float,
    divisor: str = "",
    constants: bool = True,
) -> str | None:
    """Name a coefficient that was found on several samples: "" for 1, "0", "−1", "M / N"; None if it has no name.

    NaN stands for a sample in which the term is 0, so that it could have any.
    """
    known = [i for i, value in enumerate(values) if not np.isnan(value)]
    if not known:
        return ""

    def is_all(wanted: Sequence[float]) -> bool:
        return all(abs(values[i] - wanted[i]) <= 100 * close * max(1, abs(wanted[i])) for i in known)

    for text, number in (("", 1), ("0", 0), ("−1", -1), ("2", 2), ("1/2", 0.5), ("−2", -2), ("−1/2", -0.5)):
        if is_all([number] * len(values)):
            return text
    for text, expression in expressions(list(sizes[0]), divisor):
        for sign in (1, -1):
            if is_all([sign * expression(one) for one in sizes]):
                return text if sign > 0 else f"−{text}"
    constant = values[known[0]]
    return f"{constant:.4g}".replace("-", "−") if constants and is_all([constant] * len(values)) else None


Expression = Callable[[Mapping[str, float]], float]


def expressions(names: Sequence[str], divisor: str) -> Iterator[tuple[str, Expression]]:
    """Yield what mistaken counts come to: another count for the divisor first of all, then the simple ones."""

    def quotient(a: str, b: str, above: int = 0, below: int = 0) -> Expression:
        # A count that is one too small is 0 in places, where the quotient is nothing anybody gives back.
        return lambda sizes: (sizes[a] + above) / (sizes[b] + below or np.inf)

    def power(a: str, exponent: float) -> Expression:
        return lambda sizes: float(sizes[a]) ** exponent

    for b in names:
        if divisor and b != divisor:
            yield f"{divisor}/{b}", quotient(divisor, b)
    for a in names:
        yield a, power(a, 1)
        yield f"1/{a}", power(a, -1)
    for a in names:
        for b in names:
            if a != b:
                yield f"{a}/{b}", quotient(a, b)
    for a in names:
        for shift, sign in ((-1, "−"), (1, "+")):
            yield f"{a}/({a} {sign} 1)", quotient(a, a, 0, shift)
            yield f"({a} {sign} 1)/{a}", quotient(a, a, shift, 0)
    for a in names:
        yield f"√{a}", power(a, 0.5)
        yield f"1/√{a}", power(a, -0.5)
        yield f"{a}²", power(a, 2)
        yield f"1/{a}²", power(a, -2)


def say(factor: str, terms: Sequence[str], all_of_them: bool) -> str:
    """Make a sentence of a coefficient and the terms that have it."""
    what = " and ".join(terms)
    size = factor.removeprefix("−")
    turned = " and of the wrong sign" if factor.startswith("−") else ""
    if factor == "0":
        return f"{what} {'is' if len(terms) == 1 else 'are'} missing"
    if all_of_them:
        if size == "1":
            return "the sign is wrong: this is −1 times what it should be"
        if size in ("2", "1/2"):
            often = "twice" if size == "2" else "half of"
            return f"this is {often} what it should be{': counted twice?' if size == '2' else ''}{turned}"
        reason = explanation(size)
        return f"{f'{reason}: ' if reason else ''}this is {factor} times what it should be"
    if size == "1":
        return f"{what}: the sign is wrong"
    if size == "2":
        return f"{what}: counted twice{turned}"
    if size == "1/2":
        return f"{what}: only half of it is there{turned}"
    return f"{what}: {explanation(size) or f'{size} times what it should be'}{turned}"


def explanation(factor: str) -> str:
    """Say how a mistaken count comes about: M/N, that N is divided by where M belongs."""
    above, slash, below = factor.partition("/")
    if not slash:
        return "" if above[0].isdigit() else f"not divided by {above}"
    if above == "1":
        return f"divided by {below} once too often"
    return f"divided by {below.strip('()')} where it should be {above.strip('()')}"


def picture(given: Array, wanted: Array, close: float = 1e-6, shown: int = 4) -> str:
    """Draw where an array is wrong: X for a wrong number, a dot for a right one; images of the last two axes."""
    with np.errstate(all="ignore"):
        scale = np.maximum(np.abs(given), np.abs(wanted)) + np.abs(wanted).max(initial=0) * 1e-3
        off = ~(np.abs(given - wanted) <= close * scale)
    count = np.count_nonzero(off)
    if count == off.size:
        return f"all {off.size} numbers are wrong"
    lines = [f"{count} of {off.size} numbers are wrong, those marked X:"]
    sheets = off.reshape(-1, *off.shape[-2:]) if off.ndim >= 2 else off.reshape(1, 1, -1)
    leading = list(np.ndindex(off.shape[:-2])) if off.ndim > 2 else [()]
    hit = [i for i in range(len(sheets)) if sheets[i].any()]
    for i in hit[:shown]:
        if leading[i]:
            lines.append(f"[{', '.join(map(str, leading[i]))}]")
        for row in sheets[i][:24]:
            lines.append("  " + " ".join(["X" if wrong else "." for wrong in row[:40]]))
    if len(hit) > shown:
        lines.append(f"… and in {len(hit) - shown} more")
    elif len(leading) > len(hit):
        lines.append(f"nothing is wrong in the other {len(leading) - len(hit)}")
    return "\n".join(lines)
