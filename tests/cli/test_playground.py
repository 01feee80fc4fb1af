"""`minires playground`: where it writes the page, and what it says where there is no browser."""

import webbrowser

import pytest

from minires.cli import main as cli


@pytest.fixture
def asked(monkeypatch):
    """What a browser was asked to open; it says yes."""
    urls = []
    monkeypatch.setattr(webbrowser, "open", lambda url: urls.append(url) or True)
    return urls


def test_it_writes_the_page_and_opens_it(tmp_path, monkeypatch, asked, capsys):
    monkeypatch.setenv("MINIRES_DATA", str(tmp_path / "data"))
    assert cli.main(["playground"]) == 0
    path = tmp_path / "data" / "playground.html"
    assert capsys.readouterr().out.strip() == str(path)
    assert asked == [path.as_uri()] and "<!doctype html>" in path.read_text(encoding="utf-8")


def test_no_browser_is_opened_where_none_is_wanted(tmp_path, asked):
    assert cli.main(["playground", "--out", str(tmp_path / "a" / "page.html"), "--no-browser"]) == 0
    assert asked == [] and (tmp_path / "a" / "page.html").exists()


def test_where_there_is_no_browser_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert cli.main(["playground", "--out", str(tmp_path / "page.html")]) == 0
    assert "no browser could be opened" in capsys.readouterr().err


def test_what_cannot_be_written_is_bad_input(tmp_path, asked, capsys):
    assert cli.main(["playground", "--out", str(tmp_path / "page.txt")]) == 2
    assert "must end in .html" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert cli.main(["playground", "--out", str(tmp_path / "file" / "page.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert asked == []
