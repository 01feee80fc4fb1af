"""The claims of five introductory articles on residual networks, in our words, with the verdict on each.

Where a claim can be tried, `article_trials.py` tries it; else it is `untried`.
"""

from collections.abc import Callable
from typing import NamedTuple

from minires.lab import article_trials
from minires.lab.article_trials import Tried


class Claim(NamedTuple):
    """articles: their numbers. why: what a reader should know instead.

    units: of the progress, tenths of a second or so.
    """

    articles: str
    claim: str
    verdict: str
    why: str
    explained_in: str
    try_it: Callable[[int], Tried]
    units: float = 0.1


CLAIMS = (
    Claim(
        "all",
        "Skip connections are the answer to vanishing gradients.",
        "half right",
        "Whether gradients vanish is a matter of the initialization, and batch norm makes them explode; He et al. "
        "2015 name another problem, degradation. Skips make the gradient depend less on depth.",
        "chapters 10 and 14",
        article_trials.vanishing,
        3,
    ),
    Claim(
        "000",
        "With skips gradients stay stable, however deep the network.",
        "half right",
        "Without a norm, or a scale on the branches, the signal doubles with every block.",
        "chapter 11",
        article_trials.stable,
        1,
    ),
    Claim(
        "001",
        "Skips lessen vanishing and exploding and so raise the depth that can be trained.",
        "half right",
        "It takes skips and quiet branches, by batch norm or by SkipInit's scale.",
        "chapter 14",
        article_trials.limit,
        4,
    ),
    Claim(
        "000, 001",
        "ResNet is an answer to overfitting.",
        "wrong",
        "A deeper plain network is worse on the images it is trained with.",
        "chapter 10",
        article_trials.overfitting,
        19,
    ),
    Claim(
        "000",
        "Residual networks need fewer parameters.",
        "wrong",
        "An identity shortcut has none, so it saves none; option B adds some.",
        "chapter 12",
        article_trials.fewer_parameters,
    ),
    Claim(
        "002",
        "They need less computation and time to train.",
        "half right",
        "A residual network costs what its plain twin costs. It is bottlenecks that are cheap.",
        "chapter 12",
        article_trials.less_work,
    ),
    Claim(
        "000",
        "A residual network joins the outputs of every two neighbouring layers.",
        "wrong",
        "One addition a block of two or three layers; all to all is DenseNet.",
        "chapter 11",
        article_trials.every_two_layers,
    ),
    Claim(
        "003",
        "It is the connection that lets the network learn what is not linear.",
        "wrong",
        "Sums of linear maps are linear: it is ReLU.",
        "chapter 11",
        article_trials.bends,
    ),
    Claim(
        "003",
        "Gradients still vanish inside the blocks; ELU or SELU help.",
        "half right",
        "The activation matters most in plain networks with batch norm, and least where there are skips.",
        "chapter 14",
        article_trials.elu_and_selu,
        4,
    ),
    Claim(
        "003",
        "Depth and number of blocks follow from the task and the computer.",
        "right",
        "True and empty: CIFAR's have 6n+2 layers, and a table says what each costs.",
        "chapter 12",
        article_trials.depths,
    ),
    Claim(
        "004",
        "Batch norm gives layers mean 0 and variance 1, speeds training up and frees it from the start.",
        "half right",
        "In training, per channel, before scale and shift; in evaluation by running statistics. In plain networks "
        "it makes gradients explode.",
        "chapter 8",
        article_trials.norms_promise,
        2,
    ),
    Claim(
        "001",
        "L1 and L2 keep from overfitting.",
        "half right",
        "Before a batch norm the size of a filter changes nothing but its learning rate, so L2 works through that.",
        "chapter 8; lab optimizers",
        article_trials.penalties,
    ),
    Claim(
        "004",
        "Adam with cross-entropy trains it.",
        "half right",
        "It does; the recipe of the paper, and of most published numbers, is SGD with momentum.",
        "docs: training",
        article_trials.adam,
        8,
    ),
    Claim(
        "002",
        "SGD at 0.01 in batches of 128 for 100 epochs trains it.",
        "half right",
        "It moves slowly: no momentum, no decay, no schedule, no augmentation, and no test in evaluation mode.",
        "docs: training",
        article_trials.plain_sgd,
        8,
    ),
    Claim(
        "001",
        "Training is five steps, repeated until it converges.",
        "right",
        "With zero_grad among them, or gradients add up; and with evaluation mode for the test.",
        "chapter 5",
        article_trials.loop,
    ),
    Claim(
        "004",
        "The title promises fine-tuning.",
        "missing",
        "Nothing on freezing, a new head, its higher learning rate, or frozen statistics.",
        "docs: fine-tuning",
        article_trials.untried,
    ),
    Claim(
        "003, 004",
        "Information runs through the network on a straight line.",
        "half right",
        "ReLU after the addition and projections bend it; pre-activation makes it true.",
        "chapter 12",
        article_trials.straight_line,
        1,
    ),
    Claim(
        "000",
        "ImageNet and GoogLeNet are among its applications.",
        "wrong",
        "A data set, and another network.",
        "chapter 12",
        article_trials.untried,
    ),
    Claim(
        "001 to 004",
        "It is used for detection, segmentation, language, speech, video and more.",
        "half right",
        "As a backbone for images, yes; what Transformers took over is the residual connection.",
        "chapter 12",
        article_trials.untried,
    ),
    Claim(
        "000 to 003",
        "Links and leftovers that break off or lead nowhere.",
        "no claim",
        "Left out.",
        "",
        article_trials.untried,
    ),
    Claim(
        "004",
        "Keras rests on TensorFlow and Theano, PyTorch is the dynamic one.",
        "half right",
        "Outdated: Theano is gone, and both build graphs as they run.",
        "chapter 2",
        article_trials.untried,
    ),
    Claim(
        "000, 001, 003",
        "What the future will bring: larger networks, pre-training, interpretability.",
        "no claim",
        "Opinion.",
        "",
        article_trials.untried,
    ),
    Claim(
        "001",
        "Parameters should start at suitable values.",
        "right",
        "Which ones decides everything in a deep plain network: He's.",
        "chapter 9",
        article_trials.start,
        0.5,
    ),
    Claim(
        "all",
        "How to train: what is never said.",
        "missing",
        "Augmentation, a validation split, warm-up for 110 layers, running statistics, checked gradients, the plain "
        "twin to compare with, option A, pre-activation.",
        "chapters 4, 8, 12, 14; docs: training",
        article_trials.untried,
    ),
)
