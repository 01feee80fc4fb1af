"""What the options of the CIFAR-10 recipes are worth: each switched off in trainings that are otherwise the same.

An option stays in the recipes where it is worth 0.2 points of test accuracy with `cifar10-coffee`, the mean of two
seeds. The average of the weights costs no training of its own: a step does not read it, and the checkpoint has both.
`benchmarks/real_training.py` puts the table into its page.
"""

import statistics

RECIPES = ("cifar10-coffee", "cifar10-lunch")


def pairs(rows):
    """Return {(option, recipe): {seed: (accuracy without, accuracy with)}} of runs.json."""
    found = {}
    own = {(run["recipe"], run["seed"]): run for run in rows.values() if not run["changed"]}
    for (recipe, seed), run in own.items():
        if recipe in RECIPES and run["average_accuracy"] is not None:  # else it kept none
            seeds = found.setdefault(("an average of the weights", recipe), {})
            seeds[seed] = run["accuracy"], run["average_accuracy"]
    for run in rows.values():
        if run["changed"] == {"decay_norms": False}:
            seeds = found.setdefault(("no decay on norms and biases", run["recipe"]), {})
            seeds[run["seed"]] = own[run["recipe"], run["seed"]]["accuracy"], run["accuracy"]
    return found


def worth(seeds):
    """Return what an option is worth, the mean over seeds."""
    return statistics.fmean([with_it - without for without, with_it in seeds.values()])


def table(rows):
    """Return the table, one line an option and recipe."""
    lines = ["| option | recipe | seeds | without | with | worth, in points |", "|---|---|---|---|---|---|"]
    for (option, recipe), seeds in pairs(rows).items():
        without, with_it = (", ".join([f"{pair[i]:.2%}" for pair in seeds.values()]) for i in (0, 1))
        numbers = ", ".join([str(seed) for seed in seeds])
        lines.append(f"| {option} | `{recipe}` | {numbers} | {without} | {with_it} | {100 * worth(seeds):+.2f} |")
    return "\n".join(lines)
