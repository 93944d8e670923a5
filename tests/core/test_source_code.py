import ast

from edgekws.core.family import load
from edgekws.core.source_code import _imports, closure, modules_of


def test_imports_inside_functions_count():
    code = "import a.b\ndef f():\n    from c.d import e\n    import g"
    assert set(_imports(ast.parse(code))) == {"a.b", "c.d", "c.d.e", "g"}


def test_closure_holds_what_is_imported_at_any_depth():
    found = closure(["edgekws.engine.measure"])
    # measure → lowering.parity (in a function) → core.contract → runtime.front_end
    assert {"edgekws.lowering.parity", "edgekws.runtime.front_end"} <= set(found)
    assert not any(name.startswith("edgekws.cli") for name in found)


def test_closure_grows_with_what_it_starts_from():
    small = closure(["edgekws.core.canonical"])
    assert set(small) == {"edgekws.core.canonical"}
    assert set(small) < set(closure(["edgekws.core.canonical", "edgekws.core.contract"]))


def test_modules_of_a_step_hold_the_members_nested_in_it():
    step = load("Step", "teacher")(backbone={"kind": "plain"})
    assert {"edgekws.steps.teacher", "edgekws.backbones.plain"} <= modules_of(step)
    assert "edgekws.backbones.resnet18" not in modules_of(step)
