"""The recorded trainings, as chapters get them."""

from minires.learn import recorded_trainings


def test_each_record_has_its_row_and_its_curves():
    found = recorded_trainings()
    assert found and len({one.name for one in found}) == len(found)
    for one in found:
        steps, losses = one.curve("loss")
        at, accuracies = one.curve("test_accuracy")
        assert len(steps) == len(losses) and steps == sorted(steps)
        assert (at[-1], accuracies[-1]) == (one.about["evaluated_at"], one.about["accuracy"])
        assert one.curve("nothing of the kind") == ([], [])
