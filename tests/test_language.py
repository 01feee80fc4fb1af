"""Messages in Chinese: found where they are printed, their numbers untouched, and only when Chinese is asked for."""

import io
import re
import sys
from pathlib import Path

import pytest

from minires import language
from minires.cli.main import main

VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(autouse=True)
def english_again(monkeypatch):
    """No locale of the machine has a say, and a language that a test chose is forgotten."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    language.choose("en")


@pytest.fixture
def small(monkeypatch):
    """Messages of a few entries, chosen."""

    def choose(entries):
        monkeypatch.setattr(language, "_messages", language.Messages(entries))

    return choose


def test_english_is_what_it_was():
    language.choose()
    text = "conv2d, stride 2: the function gives back None;  is its gap there?\n  at (0, 1)"
    assert language.told(text) is text
    assert not language.is_chosen()


@pytest.mark.parametrize(
    ("variables", "chinese"),
    [
        ({"LANG": "zh_CN.UTF-8"}, True),
        ({"LC_ALL": "zh_CN.UTF-8"}, True),
        ({"LC_MESSAGES": "zh_TW"}, True),
        ({"LANGUAGE": "zh_CN:en", "LANG": "de_DE.UTF-8"}, True),
        ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, False),
        ({"LANGUAGE": "en:zh", "LANG": "zh_CN.UTF-8"}, False),
        ({"LANG": "", "LC_ALL": ""}, False),
        ({}, False),
    ],
)
def test_the_locale_asks(monkeypatch, variables, chinese):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    language.choose()
    assert language.is_chosen() == chinese


def test_what_is_asked_for_comes_before_the_locale(monkeypatch):
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    language.choose("en")
    assert not language.is_chosen()


def test_a_terminal_without_the_characters_is_told_in_english(monkeypatch):
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    language.choose()
    assert not language.is_chosen()
    language.choose("zh")  # asked for by name
    assert language.is_chosen()


def test_other_languages_are_refused():
    with pytest.raises(ValueError, match="en, zh"):
        language.choose("fr")


def test_values_are_put_where_the_chinese_has_them(small):
    small({"{count} of {all} numbers are wrong": "{all} 个数里错了 {count} 个"})
    assert language.told("3 of 12 numbers are wrong") == "12 个数里错了 3 个"
    assert language.told("  3 of 12 numbers are wrong\nunknown") == "  12 个数里错了 3 个\nunknown"


def test_messages_are_made_of_messages(small):
    entries = {"{head}: {what} is missing": "{head}：少了{what}", "besides, {said}": "此外，{said}"}
    small({**entries, "the mean's term": "均值项"})
    assert language.told("f, case 2: the mean's term is missing") == "f, case 2：少了均值项"
    assert language.told("f: the mean's term; besides, the mean's term") == "f：均值项；此外，均值项"


def test_of_two_entries_that_fit_the_longer_one_is_meant(small):
    small({"{a} is wrong": "{a}不对", "{a}: the sign is wrong": "{a}：符号错了"})
    assert language.told("grad_x: the sign is wrong") == "grad_x：符号错了"


def test_values_are_never_changed(small):
    small({"loss {1} at the first step": "第一步损失 {1}"})
    for value in ("2.3025", "nan", "-1e-300", "{}", "{1}", r"\d (x) [y]", "中文"):
        assert language.told(f"loss {value} at the first step") == f"第一步损失 {value}"


def test_columns_stay_where_they_are(small):
    small({"not begun": "没开始", "ok": "对", "The family": "ResNet 家族"})
    assert language.told(" 12  not begun  The family") == " 12  没开始     ResNet 家族"
    assert language.width("没开始 12") == 9
    english, chinese = "  ok     f", language.told("  ok     f")
    assert language.width(english) == language.width(chinese)


def test_a_catalogue_is_read_without_what_is_not_current():
    text = """msgid ""
msgstr ""
"Language: zh_CN\\n"

msgid "one \\"quoted\\" {x}"
msgstr "一"

#| msgid "old"
#, fuzzy
msgid "stale"
msgstr "旧"

msgid "not yet"
msgstr ""

msgid ""
"in two "
"pieces"
msgstr ""
"分成"
"两行"
"""
    assert language.read(text) == {'one "quoted" {x}': "一", "in two pieces": "分成两行"}


ENTRIES = language.read(language.CATALOGUE.read_text(encoding="utf-8"))


def test_both_languages_have_the_same_values():
    def values(text):
        return sorted(set(re.findall(r"\{[^{}]*\}", text)))

    assert len(ENTRIES) > 600
    assert [english for english, chinese in ENTRIES.items() if values(english) != values(chinese)] == []


def test_both_languages_have_the_same_code():
    """What stands in backquotes is typed as it is: commands, names."""

    def code(text):
        return sorted(re.findall(r"`[^`]*`", text))

    assert [english for english, chinese in ENTRIES.items() if code(english) != code(chinese)] == []


def test_every_entry_is_found_by_what_is_printed():
    language.choose("zh")
    plain = {english: chinese for english, chinese in ENTRIES.items() if "{" not in english}
    assert {english: language.told(english) for english in plain} == plain


def test_every_template_is_found_when_it_is_filled():
    """What is said with numbers in it comes out in Chinese, and with these numbers."""
    language.choose("zh")
    for english in [english for english in ENTRIES if "{" in english]:
        names = list(dict.fromkeys(re.findall(r"\{([^{}]*)\}", english)))
        numbers = {name: f"{i + 1}.25" for i, name in enumerate(names)}
        filled = re.sub(r"\{([^{}]*)\}", lambda match, numbers=numbers: numbers[match[1]], english)
        wanted = re.sub(r"\{([^{}]*)\}", lambda match, numbers=numbers: numbers[match[1]], ENTRIES[english])
        assert language.told(filled) == wanted


def run(capsys, *arguments):
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_chapters_in_chinese(capsys, tmp_path):
    code, said, _ = run(capsys, "learn", "--folder", str(tmp_path), "--lang", "zh")
    assert code == 0
    lines = said.splitlines()
    assert lines[0].startswith("  1  没开始") and "导数与有限差分" in lines[0]
    assert run(capsys, "learn", "--folder", str(tmp_path))[1].splitlines()[0].endswith("finite differences")


def test_an_examination_in_chinese(capsys, tmp_path):
    folder = ("--folder", str(tmp_path))
    assert run(capsys, "learn", "1", *folder)[0] == 0
    code, said, _ = run(capsys, "check", "1", *folder, "--hint", "--lang=zh")
    assert code == 1
    assert "错" in said and "空（`...`）" in said and "提示 1/" in said


def test_graders_get_english(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    folder = ("--folder", str(tmp_path))
    run(capsys, "learn", "1", *folder)
    _, said, _ = run(capsys, "check", "1", *folder, "--json")
    assert not CHINESE.search(said) and "gap" in said


def test_errors_and_help_in_chinese(capsys):
    code, _, said = run(capsys, "check", "--lang", "zh")
    assert code == 2 and said == "minires check: 请给出章号，或者 --all\n"
    code, said, _ = run(capsys, "check", "--lang", "zh", "--help")
    assert code == 0 and "要检查哪一章" in said
    assert run(capsys, "check", "--lang", "fr")[0] == 2


def test_the_debugger_in_chinese(capsys, tmp_path):
    script = tmp_path / "commands"
    script.write_text("help\nhelp step\nbreak nowhere\nstep\ncheck\n", encoding="utf-8")
    arguments = ("--batch-size", "2", "--script", str(script))
    code, said, _ = run(capsys, "debug", *arguments, "--lang", "zh")
    english = run(capsys, "debug", *arguments)[1]
    assert code == 1  # one command could not be done, in either language
    assert "的反向传播，损失" in said and "下一个运算的反向，或接下来 N 个的" in said and "正确：比较了" in said
    assert "没有运算符合" in said
    assert all(re.search(rf"\b{name}\b", said) for name in ("break", "quit", "until")), "commands are typed as they are"
    assert re.search(r"^stop +break \[", said, re.MULTILINE)
    assert not CHINESE.search(english)
    numbers = re.compile(r"norm ([\d.e+-]+)")
    assert numbers.findall(said) == numbers.findall(english) != []


def test_the_catalogue_is_in_the_package():
    assert language.CATALOGUE.is_relative_to(Path(language.__file__).parent)
