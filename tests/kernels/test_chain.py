"""What is made of filters: once, and only while they are what they were."""

import numpy as np

from minires.kernels.chain import Prepared


def frozen(value):
    filters = np.full((2, 3, 3, 3), value)
    filters.flags.writeable = False
    return filters


def test_a_form_is_made_once_for_each_name():
    prepared, asked = Prepared(frozen(2.0)), []

    def twice(filters):
        asked.append(filters)
        return 2 * filters

    first = prepared.form("twice", twice)
    assert prepared.form("twice", twice) is first and len(asked) == 1
    np.testing.assert_array_equal(first, 4.0)
    assert prepared.form("as they are", lambda filters: filters) is prepared.filters


def test_it_holds_for_these_filters_while_nobody_can_write_to_them():
    prepared = Prepared(frozen(1.0))
    assert prepared.holds(prepared.filters)
    assert not prepared.holds(frozen(1.0))
    prepared.filters.flags.writeable = True
    assert not prepared.holds(prepared.filters)
