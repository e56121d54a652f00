"""The dictionary of methods, and what a method refuses before it begins."""

import inspect

import pytest

import minidelta.delta
from minidelta import listing
from minidelta.delta import METHODS, Delta
from minidelta.errors import DeltaError
from tests.delta.test_contract import CANNOT, NEEDS, build
from tests.delta.tiny import tiny


def test_every_delta_is_exported_and_has_a_name_a_rate_and_a_line():
    kinds = {value for value in vars(minidelta.delta).values() if inspect.isclass(value) and issubclass(value, Delta) and value is not Delta}
    assert kinds == set(METHODS.values()) and {kind.__name__ for kind in kinds} <= set(minidelta.delta.__all__)
    assert all(method.name == name and 0 < method.learning_rate < 1 and method.__doc__ for name, method in METHODS.items())
    assert [row["name"] for row in listing.methods()] == ["full", "head", *METHODS]


@pytest.mark.parametrize(("method", "shape"), CANNOT)
def test_a_method_that_can_do_nothing_for_a_shape_says_why(method, shape):
    model = tiny(shape)
    with pytest.raises(DeltaError, match=CANNOT[method, shape]):
        build(method, shape).attach(model)
    assert not hasattr(model, "deltas") and all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("method", NEEDS)
def test_a_method_that_needs_something_to_begin_says_so_at_once(method):
    with pytest.raises(DeltaError, match="none (was|were) given"):
        METHODS[method]()


@pytest.mark.parametrize("method", [method for method in METHODS if method not in NEEDS])
def test_every_other_method_is_built_with_defaults(method):
    assert METHODS[method]().targets == list(METHODS[method].default_targets)
