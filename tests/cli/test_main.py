"""The command line's frame: help, exit codes, and what becomes of a command's errors."""

import importlib
import shlex
import subprocess
import sys
from types import ModuleType

import pytest

import minires
from minires.cli import main as cli


@pytest.fixture
def command(monkeypatch):
    """Add a subcommand `probe` that calls a given function with its arguments."""

    def add(action):
        module = ModuleType("minires.cli.probe")
        module.add_arguments = lambda parser: parser.add_argument("--size", type=int, default=3)
        module.run = action
        monkeypatch.setitem(sys.modules, "minires.cli.probe", module)
        monkeypatch.setitem(cli.COMMANDS, "probe", "try the frame")

    return add


def raising(error):
    def action(args):
        raise error

    return action


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_every_command(arguments, capsys):
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    for name, line in cli.COMMANDS.items():
        assert name in out
        assert line.split(",")[0].split()[0] in out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"minires {minires.__version__}\n"


@pytest.mark.parametrize("code", [0, 1])
def test_the_command_decides_the_exit_code_and_gets_its_arguments(command, code):
    seen = []
    command(lambda args: seen.append(args.size) or code)
    assert cli.main(["probe", "--size", "7"]) == code
    assert seen == [7]


def test_an_unknown_command_lists_the_known_ones(capsys):
    assert cli.main(["compere"]) == 2
    error = capsys.readouterr().err
    assert "'compere'" in error
    assert all(name in error for name in cli.COMMANDS)


def test_a_bad_option_is_bad_usage(command, capsys):
    command(lambda args: 0)
    assert cli.main(["probe", "--size", "many"]) == 2
    assert "--size: invalid int value: 'many'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [ValueError, TypeError, RuntimeError, OSError, ImportError])
def test_bad_input_is_one_message_without_a_traceback(command, capsys, kind):
    error = kind("resnet: unknown norm 'layer'")
    error.add_note("in the test")
    command(raising(error))
    assert cli.main(["probe"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "minires probe: resnet: unknown norm 'layer'\nin the test\n"
    assert captured.out == ""


def test_a_function_of_the_commands_name_is_not_named_twice(command, capsys):
    command(raising(ValueError("probe: steps must be at least 0")))
    assert cli.main(["probe"]) == 2
    assert capsys.readouterr().err == "minires probe: steps must be at least 0\n"


@pytest.mark.parametrize("words", ["probes: one is broken", "a.png: is damaged", "Loader: there are no images"])
def test_other_words_before_a_colon_stay(command, capsys, words):
    command(raising(ValueError(words)))
    assert cli.main(["probe"]) == 2
    assert capsys.readouterr().err == f"minires probe: {words}\n"


def test_what_does_not_fit_into_the_memory(command, capsys):
    command(raising(MemoryError("Unable to allocate 9 TiB")))
    assert cli.main(["probe"]) == 2
    message = "the memory is too small (Unable to allocate 9 TiB); use a smaller batch or smaller images"
    assert capsys.readouterr().err == f"minires probe: {message}\n"


def test_a_training_that_diverges_has_failed(command, capsys):
    command(raising(FloatingPointError("the loss is nan")))
    assert cli.main(["probe"]) == 1
    assert capsys.readouterr().err == "minires probe: the loss is nan\n"


def test_traceback_on_request(command):
    command(raising(ValueError("wrong")))
    with pytest.raises(ValueError, match="wrong"):
        cli.main(["probe", "--traceback"])


def test_a_programming_error_is_not_hidden(command):
    command(raising(KeyError("typo")))
    with pytest.raises(KeyError):
        cli.main(["probe"])


def test_an_interrupt_ends_in_130(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert cli.main(["probe"]) == 130
    assert capsys.readouterr().err == "minires probe: interrupted\n"


def test_a_reader_that_goes_away_is_no_error():
    script = """
import sys, types
from minires.cli import main as cli
module = types.ModuleType("minires.cli.probe")
module.add_arguments = lambda parser: None
def run(args):
    for line in range(100000):
        print("line", line)
    return 0
module.run = run
sys.modules["minires.cli.probe"] = module
cli.COMMANDS["probe"] = "try the frame"
sys.exit(cli.main(["probe"]))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name, capsys):
    assert cli.main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: minires {name}")


def test_python_dash_m_is_the_same_command():
    result = subprocess.run([sys.executable, "-m", "minires", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"minires {minires.__version__}\n"


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS])
def test_examples_of_the_help_can_be_read(name):
    module = importlib.import_module(f"minires.cli.{name}")
    assert module.EXAMPLES
    for line, what in module.EXAMPLES:
        program, command, *words = shlex.split(line)
        assert program == "minires" and command == name and what
        cli.build_parser(name).parse_args([name, *words])


@pytest.mark.parametrize(
    "words, advice",
    [
        (["train", "--epochs", "3"], "it is a value of the recipe: --set epochs=3"),
        (["train", "--lr=0.05"], "--set optimizer.lr=0.05"),
        (["train", "--batch-size", "32"], "--set batch_size=32"),
        (["finetune", "run", "--data", "digits", "--steps", "9"], "--set steps=9"),
        (["train", "--norm", "none"], "--set model.norm=none"),
        (["compare", "--depth", "20", "--stepz", "3"], "did you mean --steps?"),
        (["bench", "--batchsize", "8"], "did you mean --batch-size?"),
    ],
)
def test_an_unknown_option_says_what_it_may_have_been_meant_for(words, advice, capsys):
    assert cli.main(words) == 2
    assert advice in capsys.readouterr().err
