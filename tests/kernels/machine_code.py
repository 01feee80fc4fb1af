"""Reads the machine code of a compiled kernel: which calls stand in its innermost loops.

A loop is a strongly connected set of a function's blocks; an innermost one has none inside. The compiler calls through
a register, which holds a function's address since some block before: it is followed backwards.
"""

import re

JUMP = re.compile(r"(j\w+)\s+(\.LBB\d+_\d+)")
CALL = re.compile(r"call\w*\s+(\*?)(\S+)")
MOVE = re.compile(r"mov\w*\s+(\S+(?:\([^)]*\))?),\s*(\S+(?:\([^)]*\))?)$")


def functions(assembly):
    """Return each function's lines, by its name."""
    found, lines = {}, []
    for line in assembly.splitlines():
        label = re.match(r'"?([^\s".#][^":]*)"?:', line)
        if label:
            lines = found.setdefault(label[1], [])
        else:
            lines.append(re.sub(r"\s*#.*", "", line).strip())
            if line.startswith(".LBB"):
                lines[-1] = line.partition(":")[0] + ":"
    return found


class Function:
    """A function's blocks: `instructions` and `successors` of each, by its label."""

    def __init__(self, lines):
        self.instructions, self.successors, label, falls = {"": []}, {"": set()}, "", True
        for line in lines:
            if line.startswith(".LBB"):
                if falls:
                    self.successors[label].add(line[:-1])
                label, falls = line[:-1], True
                self.instructions[label], self.successors[label] = [], set()
            elif line and not line.startswith("."):
                self.instructions[label].append(line)
                jump = JUMP.match(line)
                if jump:
                    self.successors[label].add(jump[2])
                falls = falls and not line.startswith(("jmp", "ret", "ud2"))
        self.predecessors = {label: [] for label in self.successors}
        for before, following in self.successors.items():
            for label in following:
                self.predecessors[label].append(before)

    def innermost_loops(self):
        """Return the loops without a loop inside, each as a set of labels."""
        found, waiting = [], [(set(self.successors), self.successors)]
        while waiting:
            labels, successors = waiting.pop()
            for loop in loops(labels, successors):
                entries = {one for before in successors if before not in loop for one in successors[before] & loop}
                entries = entries or {min(loop)}
                opened = {one: successors[one] - entries if one in loop else successors[one] for one in successors}
                if loops(loop, opened):
                    waiting.append((loop, opened))
                else:
                    found.append(loop)
        return found

    def calls(self, loop):
        """Return the names of the functions that a loop calls."""
        names = set()
        for label in loop:
            for number, line in enumerate(self.instructions[label]):
                call = CALL.match(line)
                if call:
                    names |= (self.values(label, number, call[2], set()) if call[1] else {call[2]}) or {"unknown"}
        return names

    def values(self, label, number, place, seen):
        """Return what a register, or a place in memory, may hold before an instruction."""
        for line in reversed(self.instructions[label][:number]):
            move = MOVE.match(line)
            if move and move[2] == place:
                if move[1].startswith("$"):  # a number: on this way the register has other work
                    return set() if re.match(r"\$-?\d", move[1]) else {move[1][1:]}
                at = self.instructions[label].index(line)
                return self.values(label, at, move[1], seen)
        names = set()
        for before in self.predecessors[label]:
            if (before, place) not in seen:
                seen.add((before, place))
                names |= self.values(before, len(self.instructions[before]), place, seen)
        return names


def loops(labels, successors):
    """Return the strongly connected sets among these labels (Tarjan), without single blocks that do not come back."""
    numbers, lowest, path, found = {}, {}, [], []
    for first in sorted(labels):
        if first in numbers:
            continue
        numbers[first] = lowest[first] = len(numbers)
        path.append(first)
        walk = [(first, iter(sorted(successors[first] & labels)))]
        while walk:
            label, rest = walk[-1]
            following = next(rest, None)
            if following is None:
                walk.pop()
                if walk:
                    lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[label])
                if lowest[label] == numbers[label]:
                    at = path.index(label)
                    if len(path) - at > 1 or label in successors[label]:
                        found.append(set(path[at:]))
                    del path[at:]
            elif following not in numbers:
                numbers[following] = lowest[following] = len(numbers)
                path.append(following)
                walk.append((following, iter(sorted(successors[following] & labels))))
            elif following in path:
                lowest[label] = min(lowest[label], numbers[following])
    return found


def calls_in_inner_loops(assembly):
    """Return {function: names of the functions that its innermost loops call}, and how many such loops were read."""
    found, count = {}, 0
    for name, lines in functions(assembly).items():
        function = Function(lines)
        for loop in function.innermost_loops():
            count += 1
            called = function.calls(loop)
            if called:
                found.setdefault(name, set()).update(called)
    return found, count
