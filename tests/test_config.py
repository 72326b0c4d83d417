"""config: settings are declared once, checked, and laid over each other in a known order."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.config import (
    RunConfig,
    check,
    from_flags,
    from_json,
    parse_budget,
    read_toml,
    to_json,
    with_settings,
)
from harness.errors import ConfigError
from harness.types import Budget


def test_a_setting_travels_to_its_place_with_its_type() -> None:
    config = with_settings(RunConfig(), ["lm.temperature=1", 'tasks=["a","b"]', "split.test=5"])

    assert config.lm.temperature == 1.0 and isinstance(config.lm.temperature, float)
    assert config.tasks == ("a", "b")
    assert config.split.test == 5


def test_later_settings_win_and_options_add_up() -> None:
    settings = ["seeds=2", "seeds=3", "options.optoprime.steps=4", "options.optoprime.batch=2"]

    config = with_settings(RunConfig(), settings)

    assert config.seeds == 3
    assert config.options == {"optoprime": {"steps": 4, "batch": 2}}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lm.temprature=1", "did you mean lm.temperature?"),
        ("nonsense=1", "unknown setting nonsense; known: tasks,"),
        ("seeds=many", "a value of type int is needed"),
        ("seeds=true", "a value of type int is needed"),
        ("lm=3", "lm is a group"),
        ("local.serving=fast", "allowed: exact, batched"),
        ("lm.temperature", "is not NAME=VALUE"),
        ("options.optoprime=3", "options.optoprime.NAME=VALUE"),
    ],
)
def test_a_wrong_setting_is_told_with_what_is_allowed(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?").replace(".", r"\.")):
        with_settings(RunConfig(), [setting])


def test_a_configuration_survives_json() -> None:
    settings = ["lm.price_in=0.4", "lm.price_out=1.6", "budget.rollouts=7", "options.x.y=[1]"]
    config = with_settings(RunConfig(tasks=("a",), optimizers=("b",)), settings)

    assert from_json(to_json(config)) == config


def test_a_toml_file_gives_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'tasks = ["gsm8k"]\nseeds = 3\n[lm]\nmodel = "openai/x"\n[budget]\nrollouts = 9\n'
    )

    config = read_toml(path)

    assert (config.tasks, config.seeds, config.lm.model) == (("gsm8k",), 3, "openai/x")
    assert config.budget == Budget(rollouts=9)


def test_flags_lie_over_the_file_and_settings_over_flags() -> None:
    base = RunConfig(tasks=("a",), seeds=2)

    config = from_flags(base, {"seeds": 4, "lm": "x/y", "settings": ["seeds=5"]})

    assert (config.tasks, config.seeds, config.lm.model) == (("a",), 5, "x/y")


def test_budgets_come_one_by_one_or_joined() -> None:
    budget = parse_budget(["rollouts=200,seconds=60", "cost_usd=1.5"], Budget())

    assert budget == Budget(rollouts=200, seconds=60.0, cost_usd=1.5)


@pytest.mark.parametrize("item", ["rolouts=3", "rollouts", "rollouts=1.5", "rollouts=x"])
def test_a_wrong_budget_is_refused(item: str) -> None:
    with pytest.raises(ConfigError):
        parse_budget([item], Budget())


@pytest.mark.parametrize(
    "settings",
    ["seeds=0", "jobs=0", "lm.temperature=-1", "lm.temperature=NaN", "lm.max_tokens=0"],
)
def test_a_setting_out_of_its_bounds_is_refused(settings: str) -> None:
    config = with_settings(RunConfig(tasks=("a",), optimizers=("b",)), [settings])

    with pytest.raises(ConfigError):
        check(config)


@pytest.mark.parametrize(
    "settings",
    ["budget.rollouts=-1", "split.val=0", "tasks=[]", 'tasks=["a","a"]', "lm.model="],
)
def test_a_configuration_that_cannot_run_is_refused(settings: str) -> None:
    config = with_settings(RunConfig(tasks=("a",), optimizers=("b",)), [settings])

    with pytest.raises(ConfigError):
        check(config)
