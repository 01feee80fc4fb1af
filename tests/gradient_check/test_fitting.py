"""The fit: a mistake is named if it gives the answer on all samples, and only then."""

import numpy as np
import pytest

from minires import Tensor, kernels
from minires.engine import backward_order
from minires.gradient_check.cases import named_cases
from minires.gradient_check.diagnosis import name_op_mistakes
from minires.gradient_check.fitting import Right, Sample, name_mistake, picture, same
from minires.gradient_check.known import normalization
from minires.gradient_check.known.ops import KNOWN, known_of

rng = np.random.default_rng(0)
CASES = named_cases()


def terms(grad_y, x):
    """Of a made-up answer: Σ over N of three things, divided by N."""
    N = len(x)
    return {"the first term": grad_y * x, "the second term": grad_y.sum(0) / N + 0 * x, "the third term": x**3 / N}


RIGHT = Right(
    terms,
    {"x is squared in the first term": lambda g, x: terms(g, x) | {"the first term": g * x**2}},
    lambda g, x: {"N": x.shape[0], "K": x.shape[1]},
    arrives=False,
)


def samples(answer, sizes=((4, 7), (5, 8), (6, 7))):
    found = []
    for shape in sizes:
        arguments = rng.standard_normal(shape), rng.standard_normal(shape)
        found.append(Sample(arguments, answer(*arguments)))
    return found


def weighted(*coefficients):
    def answer(g, x):
        sizes = RIGHT.sizes(g, x)
        values = [c(**sizes) if callable(c) else c for c in coefficients]
        return sum(value * term for value, term in zip(values, terms(g, x).values(), strict=True))

    return answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (weighted(1, 0, 1), "the second term is missing"),
        (weighted(1, 0, 0), "the second term and the third term are missing"),
        (weighted(1, -1, 1), "the second term: the sign is wrong"),
        (weighted(2, 1, 1), "the first term: counted twice"),
        (weighted(1, 1, 0.5), "the third term: only half of it is there"),
        (weighted(1, lambda N, K: N, 1), "the second term: not divided by N"),
        (weighted(1, lambda N, K: N / K, 1), "the second term: divided by K where it should be N"),
        (weighted(1, lambda N, K: N / (N - 1), 1), "the second term: divided by N − 1 where it should be N"),
        (weighted(1, lambda N, K: -1 / N, 1), "the second term: divided by N once too often and of the wrong sign"),
        (weighted(-1, -1, -1), "the sign is wrong: this is −1 times what it should be"),
        (weighted(0.7, 1, 1), "the first term: 0.7 times what it should be"),
        (weighted(2, -1, 1), "the first term: counted twice; the second term: the sign is wrong"),
        (lambda g, x: weighted(1, 1, 1)(g, x).T.reshape(x.shape), "it is transposed: axes 0 and 1"),
        (lambda g, x: weighted(1, 1, 1)(g, x)[::-1], "it is flipped along axis 0"),
        (lambda g, x: weighted(1, 1, 1)(g, x) + g * (x**2 - x), "x is squared in the first term"),
        (lambda g, x: weighted(1, 0, 1)(g, x) + g * (x**2 - x),
         "x is squared in the first term; besides, the second term is missing"),
        (lambda g, x: 0 * x, "it is 0 everywhere"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(answer, says):
    assert name_mistake(RIGHT, samples(answer)).startswith(says)


def test_a_right_answer_has_no_mistake():
    assert name_mistake(RIGHT, samples(weighted(1, 1, 1))) == ""


def test_a_mistake_of_one_sample_alone_has_no_name():
    """With N = 4 in one sample, 1/4 could be anything; the others tell that it is not 1/N, nor a constant."""
    factors = iter([1 / 4, 0.3, 0.9])
    assert name_mistake(RIGHT, samples(lambda g, x: weighted(1, next(factors), 1)(g, x))) == ""


def test_a_second_mistake_by_a_nameless_number_is_none():
    answer = lambda g, x: 0.3 * (weighted(1, 1, 1)(g, x) + g * (x**2 - x))  # noqa: E731
    assert name_mistake(RIGHT, samples(answer)) == ""


def test_infinity_fits_nothing():
    assert not same(np.array([1.0, np.inf]), np.array([-1.0, 2.0]))


def test_noise_has_no_name():
    assert name_mistake(RIGHT, samples(lambda g, x: rng.standard_normal(x.shape))) == ""


def test_the_picture_marks_the_wrong_places():
    wanted = np.arange(1.0, 25.0).reshape(2, 3, 4)
    given = wanted.copy()
    given[1, 2, 0] = 0
    assert picture(given, wanted).splitlines() == [
        "1 of 24 numbers are wrong, those marked X:", "[1]", "  . . . .", "  . . . .", "  X . . .",
        "nothing is wrong in the other 1",
    ]  # fmt: skip
    assert picture(-wanted, wanted) == "all 24 numbers are wrong"


def examples_of(kind):
    """Return all ops of a kind that the named cases run."""
    found = []
    for case in CASES:
        y = case.fn(*[Tensor(array, requires_grad=True) for array in case.arguments.values()])
        order = backward_order(y[0] if isinstance(y, tuple) else y)
        found += [tensor.op for tensor in order if type(tensor.op) is kind]
    return found


@pytest.mark.parametrize("kind", KNOWN, ids=lambda kind: kind.__name__)
def test_known_formulas_agree_with_the_ops_and_name_what_differs(kind, monkeypatch):
    right = kind.backward
    with kernels.use("numpy"):
        examples = examples_of(kind)
        assert examples
        for op in examples:
            assert known_of(op) is not None and name_op_mistakes(op) == {}
        for factor, says in ((-1, "sign is wrong"), (3.7, "3.7 times what it should be")):

            def changed(op, grad_y, factor=factor):
                return tuple([grad if grad is None else factor * grad for grad in right(op, grad_y)])

            monkeypatch.setattr(kind, "backward", changed)
            for op in examples:
                named = name_op_mistakes(op)
                assert named and all(says in sentence for sentence in named.values()), (op, named)


@pytest.mark.parametrize("sentence", normalization.INPUT)
def test_every_mistake_in_batch_norm_has_its_own_name(sentence):
    """Hand each listed mistake in as an answer: what is said is that sentence, and no other."""
    right = normalization.batch_norm_right(0.1, (0, 2, 3))["x"]
    made = []
    for N, C in ((4, 3), (5, 4), (3, 5)):
        x, weight = rng.normal(2, 0.8, (N, C, 2, 3)), rng.uniform(0.5, 2, C)
        arguments = rng.standard_normal(x.shape), x, weight, np.zeros(C)
        terms_of = right.variants[sentence](*arguments)
        made.append(Sample(arguments, sum(terms_of.values())))
    assert name_mistake(right, made) == sentence
