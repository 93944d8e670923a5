"""Recipes, sweeps and budgets: no TOML, values that no step expects, files that go round."""

import functools
import json
import os
from pathlib import Path
from random import Random
from typing import Any

from edgekws.recipe.json_schema import recipe_schema
from edgekws.recipe.load import builtin_sweeps, builtins
from tools.fuzzing import material
from tools.fuzzing.case import MODELS, Box, Case
from tools.fuzzing.damage import NUMBERS, TEXTS, damaged, recoded, replaced, value
from tools.fuzzing.toml import dumped, loaded

_CHAINS = (
    ("teacher",), ("teacher",), ("teacher", "distill"), ("teacher", "distill", "to2d"),
    ("teacher", "quantize"), ("teacher", "distill", "to2d", "quantize", "simplify"),
    ("teacher", "export", "simplify"),
)  # fmt: skip
_BUDGET = "max_params = 100_000\nmax_macs = 1e9\nmax_size_kib = 1000\n"


def prepare(folder: Path) -> None:
    """Write a model, recordings, a budget and a small recipe of which everything is known."""
    material.network(folder / "model.onnx")
    rows = material.clips(folder / "clips")
    material.write_rows(folder / "clips.jsonl", rows)
    text = material.RECIPE.format(table=folder / "clips.jsonl")
    (folder / "tones.toml").write_text(text, encoding="utf-8")
    (folder / "budget.toml").write_text(_BUDGET)


def make(rng: Random, folder: Path, box: Box) -> Case:
    """Write a recipe, a budget or a sweep, and give it to a command that reads one."""
    file, model = box.inputs / "recipe.toml", str(folder / "model.onnx")
    how = rng.randrange(80)
    if how < 8:
        file.write_bytes(_spoiled(rng, _BUDGET))
        return _case(rng, "check", model, "--budget", str(file))
    if how < 14:
        sweep = rng.choice(sorted(builtin_sweeps().values()))
        text = sweep.read_text(encoding="utf-8")
        file.write_bytes(_spoiled(rng, text.replace('base = "', f'base = "{sweep.parent}/')))
        return _case(rng, "sweep", str(file), "--dry-run")
    if how < 18:
        words = rng.choice((*TEXTS, "a,b", "a,a", ",", "a" + ",a" * 5000)).replace("\0", "")
        return _case(rng, "init", "--output", "made.toml", f"--keywords={words[:100_000]}")
    if how < 24:
        return _case(rng, "data", "explore", _small(rng, folder, file), "--output", ".")
    if how < 25:
        return _case(
            rng, "plan", _small(rng, folder, file), *_overrides(rng, ("steps.0.backbone.",))
        )
    given = _recipe(rng, folder, file)
    budget = ("--budget", str(folder / "budget.toml"))
    return _case(rng, "check", model, "--recipe", given, *budget, *_overrides(rng, ("",)))


def _case(rng: Random, *arguments: str) -> Case:
    return Case((*arguments, *(("--json",) if rng.random() < 0.3 else ())), MODELS)


def _small(rng: Random, folder: Path, file: Path) -> str:
    """Write the small recipe with a change or two; everything in it is quick."""
    tree = loaded((folder / "tones.toml").read_text(encoding="utf-8"))
    if rng.random() < 0.6:
        step = {
            "kind": "teacher",
            "backbone": _member(rng, "any_backbone"),
            "training": {"epochs": 1},
        }
        tree["steps"][0] = step
    for _ in range(rng.choice((0, 1, 1, 2))):
        replaced(rng, tree)
    target = tree.get("target")
    if isinstance(target, dict) and "kind" in target:
        target |= {"kind": "host", "seconds": 0.05, "processes": 2}
    file.write_text(dumped(tree), encoding="utf-8", errors="replace")
    return str(file)


def _recipe(rng: Random, folder: Path, file: Path) -> str:
    """Write a recipe of any sort; return how it is named."""
    how = rng.randrange(10)
    if how < 3:
        base = rng.choice(sorted(builtins().values()))
        file.write_bytes(_spoiled(rng, base.read_text(encoding="utf-8")))
    elif how < 7:
        tree = _drawn(rng)
        for _ in range(rng.choice((0, 0, 1, 2))):
            replaced(rng, tree)
        file.write_bytes(recoded(rng, dumped(tree)))
    elif how < 9:
        _extending(rng, folder, file)
    else:
        return rng.choice((
            str(file.parent), "quickstart", "no-such", "", "-", "\x1b[31m", str(_fifo(file)),
            "/dev/zero", "/dev/null", "/proc/self/mem", "a" * 5000, "~nobody/x", "[bold]x",
            "../" * 2000,
        ))  # fmt: skip
    return str(file)


def _fifo(file: Path) -> Path:
    os.mkfifo(file)
    return file


def _extending(rng: Random, folder: Path, file: Path) -> None:
    """Write a recipe that extends others, itself, or what is no recipe."""
    names = (
        "recipe.toml", "other.toml", ".", "..", "/dev/zero", "/dev/stdin", "", "no.toml",
        "a" * 300, "\\u0000", str(folder / "tones.toml"), str(folder / "model.onnx"),
        "other.toml",
    )  # fmt: skip
    change = rng.choice(
        ("", "name = 1\n", "steps = []\n", "[dataset]\nkind = 2\n", '[dataset]\nroot="x"\n')
    )
    file.write_text(f'extends = "{rng.choice(names)}"\n{change}', encoding="utf-8")
    other = file.with_name("other.toml")
    how = rng.randrange(4)
    if how == 0:
        other.write_text('extends = "recipe.toml"\n', encoding="utf-8")
    elif how == 1:
        other.symlink_to(rng.choice(("recipe.toml", "other.toml", str(folder / "tones.toml"))))
    elif how == 2:
        for n in range(rng.choice((3, 400, 1500))):
            link = file.with_name(f"{n}.toml")
            link.write_text(f'extends = "{n + 1}.toml"\n', encoding="utf-8")
        other.write_text('extends = "0.toml"\n', encoding="utf-8")


def _spoiled(rng: Random, text: str) -> bytes:
    """Return the text of a TOML file after changes of its values, its lines or its bytes."""
    how = rng.randrange(10)
    if how < 4:
        tree = loaded(text)
        for _ in range(rng.choice((1, 1, 2, 4))):
            replaced(rng, tree)
        return recoded(rng, dumped(tree))
    if how < 8:
        lines = text.split("\n")
        for _ in range(rng.choice((1, 1, 2, 4))):
            _line(rng, lines)
        return recoded(rng, rng.choice(("\n", "\n", "\r\n")).join(lines))
    return damaged(rng, text.encode())


def _line(rng: Random, lines: list[str]) -> None:
    at, change = rng.randrange(len(lines)), rng.randrange(5)
    key, equals, _ = lines[at].partition("=")
    if equals and change < 3:
        lines[at] = f"{key}= {_text(rng)}"
    elif change == 3:
        lines.insert(
            at,
            rng.choice(
                (
                    lines[at],
                    "[steps]",
                    "[[dataset]]",
                    "[[",
                    "]",
                    "a.b.c = 1",
                    "[budget]",
                    "[a" + ".a" * 3000 + "]",
                )
            ),
        )
    else:
        del lines[at]
        lines.append("")


def _text(rng: Random) -> str:
    """Return the text of a value, TOML or not."""
    depth = rng.choice((5, 200, 2000, 100_000))
    return str(rng.choice((
        dumped({"x": value(rng)}).partition("=")[2].strip(), json.dumps(rng.choice(TEXTS)),
        rng.choice(NUMBERS), "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z",
        "[" * depth + "]" * depth, "{a = " * depth + "1" + "}" * depth, "'''", '"""', '"\\ud800"',
        '"\\u0000"', "0x" + "f" * 5000, "1e" + "9" * 4000, "9" * 5000, "[1, 'a', {}]",
    )))  # fmt: skip


def _overrides(rng: Random, prefixes: tuple[str, ...]) -> list[str]:
    found = []
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        key = rng.choice((
            "steps.0.training.epochs", "steps.teacher.seed", "name", "seed", "steps", "steps.9.x",
            "dataset.keywords", "x", "", ".", "a..b", "steps.0", '"a.b"', "front_end.n_mels",
            "budget.max_params", "extends", "schema", "steps.-1", "steps.٣.name",
            "steps.0." + "a." * 2000 + "b", "target.kind", "augment.noise.snr_db",
        ))  # fmt: skip
        text = rng.choice((f"{key}={_text(rng)}", f"{key}={rng.choice(TEXTS)}", key, f"={key}"))
        found += ["--set", text.replace("\0", "")[:100_000]]
    return found


@functools.cache
def _schema() -> dict[str, Any]:
    return recipe_schema()


def _drawn(rng: Random) -> dict[str, Any]:
    """Return a recipe with fields drawn from the bounds that its schema states."""
    schema = _schema()
    tree = {
        k: _value(rng, s)
        for k, s in schema["properties"].items()
        if k != "extends" and rng.random() < 0.25
    }
    tree |= {"schema": 1, "name": "drawn", "dataset": _member(rng, "any_dataset")}
    tree["target"] = _member(rng, "any_target")
    tree["steps"] = [_step(rng, kind) for kind in rng.choice(_CHAINS)]
    return tree


def _step(rng: Random, kind: str) -> Any:
    found = next(
        r for r in map(_resolved, _schema()["definitions"]["any_step"]["oneOf"]) if _kind(r) == kind
    )
    step: dict[str, Any] = _of_type(rng, found, 6)
    if kind == "distill":
        step["teachers"] = ["teacher"]
    if rng.random() < 0.9:  # few limits can be checked on a step
        step.pop("budget", None)
    return step


def _member(rng: Random, family: str) -> Any:
    return _value(rng, rng.choice(_schema()["definitions"][family]["oneOf"]))


def _kind(schema: dict[str, Any]) -> Any:
    return schema["properties"]["kind"].get("const")


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        found: dict[str, Any] = _schema()["definitions"][name]
        return found
    return schema


def _value(rng: Random, schema: dict[str, Any], depth: int = 6) -> Any:
    """Return a value that fits a schema, nearly always."""
    schema = _resolved(schema)
    if rng.random() < 0.005 or not depth:
        return value(rng, 1)
    for several in ("oneOf", "anyOf", "allOf"):
        if choices := [s for s in schema.get(several, ()) if s.get("type") != "null"]:
            return _value(rng, rng.choice(choices), depth - 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    return _of_type(rng, schema, depth)


def _of_type(rng: Random, schema: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        needed = (*schema.get("required", ()), "kind")
        inside = schema.get("properties", {})
        return {
            k: _value(rng, s, depth - 1)
            for k, s in inside.items()
            if k in needed or rng.random() < 0.08
        }
    if kind == "array":
        items = schema.get("items", {})
        count = rng.choice(
            (1, 2, 2, 3, schema.get("minItems", 0), min(schema.get("maxItems", 3), 50))
        )
        kinds = items if isinstance(items, list) else [items] * count
        return [_value(rng, item, depth - 1) for item in kinds]
    if kind in ("integer", "number"):
        return _number(rng, schema, whole=kind == "integer")
    if kind == "boolean":
        return rng.random() < 0.5
    return (
        rng.choice(("a", "nodata", "lights", "en", *TEXTS)) if kind == "string" else value(rng, 1)
    )


def _number(rng: Random, schema: dict[str, Any], *, whole: bool) -> float:
    """Return a number at a bound, just beyond it, or small."""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    choices = [schema.get("default"), low, high, *(1, 2, 8, 0.5, rng.randrange(1, 64))]
    inside = [c for c in choices if isinstance(c, int | float) and _fits(schema, c)]
    if not inside or rng.random() < 0.02:
        inside = [bound + step for bound in (low, high, 0) if bound is not None for step in (-1, 1)]
    number = rng.choice(inside)
    return int(number) if whole and number == number and abs(number) < 2**200 else float(number)


def _fits(schema: dict[str, Any], number: float) -> bool:
    low = schema.get("minimum", float("-inf")), schema.get("exclusiveMinimum", float("-inf"))
    high = schema.get("maximum", float("inf")), schema.get("exclusiveMaximum", float("inf"))
    return bool(low[0] <= number <= high[0] and low[1] < number < high[1])
