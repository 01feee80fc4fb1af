"""Learning-rate schedules: by hand on small cases, and against PyTorch's."""

import gc
import weakref

import numpy as np
import pytest

from minires.engine import Tensor
from minires.optim import SGD, CosineAnnealingLR, LinearWarmup, MultiStepLR, OneCycleLR

STEPS = 25


def optimizer_of(*lrs):
    return SGD([{"params": [Tensor([1.0], requires_grad=True)], "lr": lr} for lr in lrs])


def lrs_over(schedule, optimizer, steps=STEPS):
    """The first group's learning rate before the first step, and after each."""
    lrs = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        schedule.step()
        lrs.append(optimizer.param_groups[0]["lr"])
    return lrs


def test_multistep_drops_at_its_milestones():
    optimizer = optimizer_of(1.0, 4.0)
    schedule = MultiStepLR(optimizer, [2, 3], gamma=0.5)
    assert lrs_over(schedule, optimizer, 4) == [1.0, 1.0, 0.5, 0.25, 0.25]
    assert optimizer.param_groups[1]["lr"] == 1.0


def test_a_group_added_later_starts_from_its_own_learning_rate():
    optimizer = optimizer_of(1.0)
    schedule = MultiStepLR(optimizer, [1], gamma=0.5)
    optimizer.add_param_group({"params": [Tensor([2.0], requires_grad=True)], "lr": 6.0})
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 3.0]


def test_cosine_passes_half_way_and_ends_at_eta_min():
    optimizer = optimizer_of(1.0)
    lrs = lrs_over(CosineAnnealingLR(optimizer, T_max=4, eta_min=0.2), optimizer, 4)
    assert lrs == pytest.approx([1.0, 0.6 + 0.4 * 0.5**0.5, 0.6, 0.6 - 0.4 * 0.5**0.5, 0.2])


def test_warm_up_rises_in_a_line():
    optimizer = optimizer_of(2.0)
    lrs = lrs_over(LinearWarmup(optimizer, total_iters=4, start_factor=0.2), optimizer, 6)
    assert lrs == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.0, 2.0])


def test_warm_up_multiplies_the_schedule_it_is_put_on():
    optimizer = optimizer_of(1.0)
    drops = MultiStepLR(optimizer, [3], gamma=0.1)
    lrs = lrs_over(LinearWarmup(optimizer, total_iters=4, start_factor=0.5, schedule=drops), optimizer, 5)
    assert lrs == pytest.approx([0.5, 0.625, 0.75, 0.0875, 0.1, 0.1])


def torch_lrs(make_schedule):
    torch = pytest.importorskip("torch")
    expected = torch.optim.SGD([torch.zeros(1)], lr=0.7)
    schedule = make_schedule(torch.optim.lr_scheduler, expected)
    lrs = [expected.param_groups[0]["lr"]]
    for _ in range(STEPS):
        expected.step()
        schedule.step()
        lrs.append(expected.param_groups[0]["lr"])
    return lrs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda o: MultiStepLR(o, [4, 5, 19]), lambda torch, o: torch.MultiStepLR(o, [4, 5, 19])),
        (lambda o: MultiStepLR(o, [6], gamma=0.3), lambda torch, o: torch.MultiStepLR(o, [6], gamma=0.3)),
        (lambda o: CosineAnnealingLR(o, 10), lambda torch, o: torch.CosineAnnealingLR(o, 10)),
        (lambda o: CosineAnnealingLR(o, 25, 0.1), lambda torch, o: torch.CosineAnnealingLR(o, 25, 0.1)),
        (lambda o: LinearWarmup(o, 6), lambda torch, o: torch.LinearLR(o, 1 / 3, total_iters=6)),
        (
            lambda o: LinearWarmup(o, 6, 0.01, CosineAnnealingLR(o, 25)),
            lambda torch, o: torch.ChainedScheduler(
                [torch.LinearLR(o, 0.01, total_iters=6), torch.CosineAnnealingLR(o, 25)]
            ),
        ),
    ],
    ids=["multistep", "multistep-gamma", "cosine-beyond-its-end", "cosine-eta-min", "warm-up", "warm-up-and-cosine"],
)
def test_schedules_are_torchs(ours, theirs):
    expected = torch_lrs(theirs)
    optimizer = optimizer_of(0.7)
    assert lrs_over(ours(optimizer), optimizer) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_a_schedule_goes_on_from_its_state():
    optimizer = optimizer_of(0.7)
    schedule = CosineAnnealingLR(optimizer, 10)
    straight = lrs_over(schedule, optimizer, 8)
    saved_optimizer = optimizer_of(0.7)
    first = CosineAnnealingLR(saved_optimizer, 10)
    lrs_over(first, saved_optimizer, 3)
    saved = first.state_dict(), saved_optimizer.state_dict()

    resumed_optimizer = optimizer_of(0.1)  # what was saved counts
    resumed_optimizer.load_state_dict(saved[1])
    resumed = CosineAnnealingLR(resumed_optimizer, 10)
    resumed.load_state_dict(saved[0])
    assert lrs_over(resumed, resumed_optimizer, 5) == straight[3:]


def test_bad_options_are_refused():
    optimizer = optimizer_of(0.1)
    with pytest.raises(TypeError, match="MultiStepLR: expected an optimizer, got float"):
        MultiStepLR(0.1, [1])
    with pytest.raises(ValueError, match=r"MultiStepLR: milestones must be rising step numbers .* got \[5, 3\]"):
        MultiStepLR(optimizer, [5, 3])
    with pytest.raises(ValueError, match=r"MultiStepLR: milestones .* got \[0\]"):
        MultiStepLR(optimizer, [0])
    with pytest.raises(ValueError, match="CosineAnnealingLR: T_max must be at least 1, got 0"):
        CosineAnnealingLR(optimizer, 0)
    with pytest.raises(ValueError, match="LinearWarmup: start_factor must be above 0 and at most 1, got 0"):
        LinearWarmup(optimizer, 5, start_factor=0)
    with pytest.raises(ValueError, match="LinearWarmup: total_iters must be at least 1, got 0"):
        LinearWarmup(optimizer, 0)
    with pytest.raises(ValueError, match="LinearWarmup: the schedule it is put on belongs to another optimizer"):
        LinearWarmup(optimizer, 5, schedule=CosineAnnealingLR(optimizer_of(0.1), 5))
    with pytest.raises(ValueError, match='CosineAnnealingLR.load_state_dict: "steps" must be .* got None'):
        CosineAnnealingLR(optimizer, 5).load_state_dict({})


def test_a_second_schedule_starts_from_where_the_first_has_led():
    optimizer = optimizer_of(1.0, 4.0)
    first = MultiStepLR(optimizer, [1], gamma=0.1)
    first.step()
    second = CosineAnnealingLR(optimizer, T_max=2)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.4])
    second.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.2])
    third = LinearWarmup(optimizer, 2, 0.5, schedule=MultiStepLR(optimizer, [9]))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.025, 0.1])
    third.step()
    third.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.2])


def test_a_schedule_made_anew_before_the_first_step_starts_where_that_one_did():
    optimizer = optimizer_of(1.0)
    for _ in range(3):  # a cell of a notebook, run again
        schedule = LinearWarmup(optimizer, 2, 0.5, schedule=CosineAnnealingLR(optimizer, T_max=10))
        assert optimizer.param_groups[0]["lr"] == 0.5
    assert schedule.lr_at(2, 1.0) == pytest.approx(CosineAnnealingLR(optimizer_of(1.0), 10).lr_at(2, 1.0))


@pytest.mark.parametrize("loaded_first", [True, False])
def test_going_on_with_a_saved_training(loaded_first):
    optimizer = optimizer_of(1.0)
    schedule = MultiStepLR(optimizer, [1, 3], gamma=0.1)
    schedule.step()
    saved = optimizer.state_dict(), schedule.state_dict()
    other = optimizer_of(1.0)
    if loaded_first:
        other.load_state_dict(saved[0])
    again = MultiStepLR(other, [1, 3], gamma=0.1)
    if not loaded_first:
        other.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    assert lrs_over(again, other, 3) == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_one_cycle_by_hand():
    optimizer = optimizer_of(1.0, 4.0)
    schedule = OneCycleLR(optimizer, total_steps=11, pct_start=5 / 11, div_factor=10, final_div_factor=100)
    lrs = lrs_over(schedule, optimizer, 14)
    assert lrs[0] == pytest.approx(0.1) and lrs[2] == pytest.approx(0.55) and lrs[4] == pytest.approx(1.0)
    assert lrs[7] == pytest.approx((1 + 0.001) / 2) and lrs[10:] == pytest.approx([0.001] * 5)
    assert lrs[:5] == sorted(lrs[:5]) and lrs[4:11] == sorted(lrs[4:11], reverse=True)
    assert max(OneCycleLR(optimizer_of(1.0), 0.3, 11).lr_at(step, 1.0) for step in range(11)) <= 0.3


@pytest.mark.parametrize(("total", "start"), [(25, 0.3), (10, 0.5), (7, 0.0), (12, 1.0), (100, 0.05)])
def test_one_cycle_against_torch(total, start):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    options = {"pct_start": start, "div_factor": 20.0, "final_div_factor": 50.0}
    try:
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            theirs, 0.4, total_steps=total, cycle_momentum=False, **options
        )
    except ZeroDivisionError:
        pytest.fail("torch cannot")
    expected = [theirs.param_groups[0]["lr"]]
    for _ in range(total - 1):
        theirs.step()
        cycle.step()
        expected.append(theirs.param_groups[0]["lr"])
    optimizer = optimizer_of(0.1)
    schedule = OneCycleLR(optimizer, 0.4, total_steps=total, **options)
    assert lrs_over(schedule, optimizer, total - 1) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "total_steps must be at least 2, got 0"),
        ({"total_steps": 10.5}, "total_steps must be whole numbers"),
        ({"total_steps": 10, "pct_start": 1.5}, "pct_start must be from 0 to 1"),
        ({"total_steps": 10, "div_factor": 0}, "factors must be at least 1"),
    ],
)
def test_one_cycle_refuses(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        OneCycleLR(optimizer_of(0.1), **options)


def test_optimizer_and_schedule_go_when_nobody_holds_them():
    """Without the garbage collector: a cycle would keep parameters and gradients until it comes by."""
    parameter = Tensor(np.ones(3), requires_grad=True)
    optimizer = SGD([parameter], lr=0.1)
    schedule = CosineAnnealingLR(optimizer, 10)
    schedule.step()
    gone = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer, schedule
        assert gone() is None
    finally:
        gc.enable()
