"""The settings file: what it may say, and what is said of one that cannot be used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from console.__main__ import rollcall
from console.columns import WORKER_COLUMNS
from console.commands import BY_NAME, COMMANDS
from console.config import Config, config_file, load_config, parse_config
from console.config_sample import sample
from console.fixed_keys import fixed_keys
from console.keys import DECLARED_KEYS, Keys, key_name, key_sign
from console.plan import Part
from console.screens.help import help_lines
from nodes.errors import StartError
from tests.console.fakes import FakeCluster, cluster_snapshot, run, shown, worker_view

FIXED = fixed_keys()


def parsed(text: str) -> Config:
    return parse_config(text, "console.toml", FIXED)


# -- what it may say -----------------------------------------------------------------


def test_a_file_that_says_nothing_changes_nothing() -> None:
    assert parsed("") == parsed("[keys]\n[panels]\n") == Config()


def test_what_is_set_is_taken_and_the_rest_stays() -> None:
    config = parsed(
        'refresh = 1\ntheme = "nord"\ncolumns = ["STATE", "id", "trend"]\n'
        '[panels]\nleft = "slow"\nright = "heat"\nlower = "ask"\n'
        '[keys]\nkill = "x"\nscale = ["f5", "N"]\ntraffic = []\n'
    )
    assert (config.refresh_s, config.theme) == (1.0, "nord")
    assert [column.title for column in config.columns] == ["STATE", "ID", "60 S, ONE SCALE"]
    assert config.panels == {"left": Part.SLOW, "right": Part.HEAT, "lower": Part.ANSWER}
    assert config.keys.of("kill") == ("x",)
    assert config.keys.of("scale") == ("f5", "N")
    assert config.keys.of("traffic") == ()
    assert config.keys.text("drain") == "d"
    assert config.keys.typed("traffic") == ":traffic"


def test_two_commands_may_change_their_keys() -> None:
    keys = parsed('[keys]\nkill = "d"\ndrain = "K"\n').keys
    assert (keys.text("kill"), keys.text("drain")) == ("d", "K")


def test_a_command_may_be_given_the_key_it_has() -> None:
    for command in COMMANDS:
        for key in DECLARED_KEYS.of(command.name):
            sign = key_sign(key)
            assert parsed(f'[keys]\n{command.name} = "{sign}"\n').keys.of(command.name) == (key,)


@pytest.mark.parametrize("text", ["x", "K", "+", ",", "é", "[", ".", "f12", "ctrl+x", "CTRL+X"])
def test_a_key_is_shown_as_it_was_written(text: str) -> None:
    sign = key_sign(key_name(text))
    assert sign == ("^X" if text.lower() == "ctrl+x" else text.upper() if text == "f12" else text)


def test_the_sample_says_what_is_so_without_a_file() -> None:
    text = sample()
    assert parsed(text) == Config()
    whole = parsed(re.sub(r"(?m)^# (?=\[|\w+ = )", "", text))
    assert {name: tuple(DECLARED_KEYS.of(name)) for name in BY_NAME} == whole.keys.moved
    assert [one.title for one in whole.columns] == [one.title for one in WORKER_COLUMNS]
    assert whole.panels == {"left": Part.ANSWER, "right": Part.EVENTS, "lower": Part.EVENTS}
    assert whole.refresh_s == Config().refresh_s
    printed = CliRunner().invoke(rollcall, ["--print-settings"])
    assert (printed.exit_code, printed.output) == (0, text)


def test_the_example_in_the_docs_can_be_used() -> None:
    page = Path(__file__).parents[2] / "docs" / "operating.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    examples = [block for block in blocks if "[[machine]]" not in block]
    assert examples
    for example in examples:
        assert tomllib.loads(example)
        assert parsed(example) != Config()


# -- what cannot be used -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ('\nthem = "nord"', 2, "them: there is no setting 'them'; did you mean 'theme'?"),
        ("theme = 3", 1, "theme: there is no theme '3'; possible: textual-dark"),
        ('theme = "nrod"', 1, "did you mean 'nord'?"),
        ("refresh = 0", 1, "refresh: takes 0.1 to 1.0 seconds"),
        ("refresh = nan", 1, "refresh: takes 0.1 to 1.0 seconds"),
        ("refresh = true", 1, "refresh: takes 0.1 to 1.0 seconds"),
        ('refresh = "1"', 1, "refresh: takes 0.1 to 1.0 seconds"),
        ('columns = "id"', 1, "columns: takes a list"),
        ('columns = ["state"]', 1, 'columns: needs "id"'),
        ('columns = ["id", "stat"]', 1, "there is no column 'stat'; did you mean 'state'?"),
        ('columns = ["id", "ID"]', 1, "names a column twice"),
        ("keys = 3", 1, "keys: is a table: write [keys] above"),
        ('[keys]\nkil = "x"', 2, "[keys] kil: there is no command 'kil'; did you mean 'kill'?"),
        ('[keys]\nxyzzy = "x"', 2, "there is no command 'xyzzy'; possible: spawn, kill"),
        ('keys.kill = "d"', 1, "[keys] kill: 'd' is the key of drain: give drain another"),
        ('[keys]\n\ndrain = "x"\nkill = "x"', 3, "[keys] drain: 'x' is the key of kill"),
        ('[keys]\nkill = "j"', 2, "[keys] kill: 'j' has another use: move"),
        ('[keys]\nkill = "3"', 2, "'3' has another use: go to panel 3"),
        ('[keys]\nkill = "y"', 2, "'y' has another use: copy"),
        ('[keys]\nquit = "ctrl+c"', 2, "'ctrl+c' cannot be had; a key is one character"),
        ('[keys]\nkill = "shift+k"', 2, "'shift+k' comes as 'K': write that"),
        ('[keys]\nkill = "alt+k"', 2, "cannot be had"),
        ('[keys]\nkill = ""', 2, "cannot be had"),
        ('[keys]\nkill = "\\u0007"', 2, "cannot be had"),
        ("[keys]\nkill = 3", 2, '[keys] kill: takes a key as "x"'),
        ('[panels]\nleft = "heat"', 2, "[panels] left: shows no 'heat'; possible: ask, slow"),
        ('[panels]\nmiddle = "ask"', 2, "[panels] middle: there is no place 'middle'"),
        ("theme = nord", 1, "is no TOML: write NAME = VALUE, texts in quotes"),
        ("refresh = 1\nrefresh = 1", 2, "each name once"),
        ('theme = "', 1, "is no TOML"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(StartError) as refused:
        parsed(text)
    said = str(refused.value)
    assert said.startswith(f"console.toml, line {line}: ")
    assert why in said
    assert said.isprintable()


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"there is no settings file .*--print-settings"):
        load_config(tmp_path / "none.toml", FIXED)
    with pytest.raises(StartError, match="cannot be read"):
        load_config(tmp_path, FIXED)
    (tmp_path / "latin").write_bytes(b'theme = "\xe9"')
    with pytest.raises(StartError, match="no text in UTF-8"):
        load_config(tmp_path / "latin", FIXED)


def test_the_usual_one_is_in_the_user_s_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_file() == tmp_path / "rollcall" / "console.toml"
    assert load_config(None, FIXED) == Config()
    config_file().parent.mkdir()
    config_file().write_text("refresh = 0.2")
    assert load_config(None, FIXED).refresh_s == 0.2


# -- on the screen -------------------------------------------------------------------

MOVED = '[keys]\nkill = ["x", "X"]\nspawn = "P"\ndrain = []\nthaw = "T"\nhelp = "f1"\n'


@pytest.mark.long
def test_moved_keys_act_and_are_what_every_text_says() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]))
        async with shown(cluster, config=parsed(MOVED)) as console:
            foot = console.lines()[-1]
            assert "P spawn  x kill  r restart" in foot and "F1 help" in foot
            assert "K kill" not in foot and "drain" not in foot
            await console.press("K", "d", "question_mark")
            assert len(console.app.screen_stack) == 2
            await console.press("P")  # no longer sorts
            await console.until(lambda: ("spawn", "1") in cluster.requests)
            assert console.table.sort_column == "ID"
            for key in ("x", "X"):
                await console.press(key)
                assert console.open_question == "Kill w1?"
                await console.press("n")
            await console.press("f1")
            assert "x X      :kill ID" in console.text()
            await console.press("f1")
            await console.press("enter")
            await console.until(lambda: "Workers > w1" in console.text())
            await console.press("x")
            assert console.open_question == "Kill w1?"
            await console.press("n", "q")
            await console.show_snapshot(cluster_snapshot([], wanted_workers=0))
            assert "(P spawns)" in console.text()
            assert "No workers: P spawns one" in console.text()

    run(test)


def test_the_screen_is_laid_out_as_the_file_says() -> None:
    async def test() -> None:
        config = parsed(
            'columns = ["id", "served", "state"]\ntheme = "nord"\n'
            '[panels]\nleft = "slow"\nright = "heat"\n'
        )
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        async with shown(cluster, config=config, size=(120, 24)) as console:
            head = next(line for line in console.lines() if "SERVED" in line)
            assert head.split() == ["ID^" if "^" in head else "ID▲", "SERVED", "STATE"]
            assert {Part.SLOW, Part.HEAT} <= set(console.app.main.board.plan)
            assert console.app.theme == "nord"

    run(test)


def test_the_layout_is_remembered() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]))
        async with shown(cluster, size=(120, 24)) as console:
            settings = console.app.settings
            await console.press("6", "4", "1", "P", "P", "z")
            await console.pilot.pause()
        async with shown(cluster, size=(120, 24), settings=settings) as console:
            assert {Part.SLOW, Part.HEAT} <= set(console.app.main.board.plan)
            assert (console.table.sort_column, console.table.descending) == ("P99", True)
            assert console.app.main.zoomed is None

    run(test)


def test_capital_letters_sort_by_their_column() -> None:
    async def test() -> None:
        workers = [worker_view(1, p99_ms=3.0), worker_view(2, p99_ms=1.0)]
        async with shown(FakeCluster(cluster_snapshot(workers))) as console:
            await console.press("P")
            assert console.table.keys == ["w2", "w1"]
            await console.press("P")
            assert console.table.keys == ["w1", "w2"]

    run(test)


def test_help_tells_the_letters_that_sort_and_no_other() -> None:
    told = " ".join(help_lines(parsed('[keys]\nask = "P"\n').keys, read_only=False))
    for column in WORKER_COLUMNS:
        if column.letter:
            assert (f"{column.letter} {column.name}" in told) == (column.letter != "P")


def test_no_letter_of_a_column_is_another_key() -> None:
    letters = [column.letter for column in WORKER_COLUMNS if column.letter]
    assert len(set(letters)) == len(letters)
    assert not set(letters) & (set(FIXED) | Keys().used)
