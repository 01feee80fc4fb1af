"""Chapter 2: right and typical wrong answers."""

from minires.learn.answers.chapter_02 import backward_order


def as_first_met(loss, inputs):
    order, found = [], [loss]
    while found:
        node = found.pop(0)
        if node not in order:
            order.append(node)
            found.extend(inputs(node))
    return order


def along_every_path(loss, inputs):
    order, found = [], [loss]
    while found:
        node = found.pop(0)
        if node in order:
            order.remove(node)
        order.append(node)
        found.extend(inputs(node))
    return order


def recursive(loss, inputs):
    order, seen = [], set()

    def finish(node):
        if node not in seen:
            seen.add(node)
            for source in inputs(node):
                finish(source)
            order.append(node)

    finish(loss)
    return order[::-1]


def forward_order(loss, inputs):
    return backward_order(loss, inputs)[::-1]


def with_repetitions(loss, inputs):
    order, found = [], [loss]
    while found:
        node = found.pop(0)
        order.append(node)
        found.extend(inputs(node))
    return order


def without_leaves(loss, inputs):
    return [node for node in backward_order(loss, inputs) if inputs(node)]


def as_iterator(loss, inputs):
    return reversed(forward_order(loss, inputs))


def uses_as_a_set(loss, inputs):
    """Uses are counted over a set of inputs, and taken off once per input: x is ready before b."""
    uses, found, seen = {}, [loss], {loss}
    while found:
        node = found.pop()
        for source in set(inputs(node)):
            uses[source] = uses.get(source, 0) + 1
            if source not in seen:
                seen.add(source)
                found.append(source)
    order, ready = [], [loss]
    while ready:
        node = ready.pop()
        order.append(node)
        for source in inputs(node):
            uses[source] -= 1
            if uses[source] == 0:
                ready.append(source)
    return order


def loss_left_out(loss, inputs):
    return backward_order(loss, inputs)[1:]


def with_a_stack_of_its_own(loss, inputs):
    """Right: depth first, as in the chapter, with a list in the place of the recursion."""
    order, seen, found = [], set(), [(loss, False)]
    while found:
        node, finished = found.pop()
        if finished:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            found.append((node, True))
            found.extend([(source, False) for source in inputs(node)])
    return order[::-1]


RIGHT = {"backward_order": backward_order}
ALSO_RIGHT = [{"backward_order": with_a_stack_of_its_own}]

WRONG = [
    ({"backward_order": as_first_met}, r"f\(x\): x comes before f, which was computed from it"),
    ({"backward_order": along_every_path}, "it goes along every path"),
    ({"backward_order": recursive}, "the recursion is too deep"),
    ({"backward_order": forward_order}, "this is the order of the forward pass"),
    ({"backward_order": with_repetitions}, "x is in the list 2 times"),
    ({"backward_order": without_leaves}, "a is not in the list"),
    ({"backward_order": as_iterator}, "should be a list"),
    ({"backward_order": uses_as_a_set}, r"b \+ a(.|\n)*x comes before b(.|\n)*a uses x twice"),
    ({"backward_order": loss_left_out}, "loss is not in the list"),
]
