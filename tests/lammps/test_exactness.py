"""E, F, virial, u and its gradients do not depend on ranks, and are those of Python."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from exactness import (
    LAYOUTS,
    ONE_RANK,
    QUANTITIES,
    cases,
    cases_on,
    deviation,
    in_lammps,
    in_python,
    prepare,
    random_water,
    reference,
    save_gmnn,
    slug,
)
from harness import write_data
from toys import MessagePassing, save_toy

from pyubias.model.prediction import Model
from pyubias.training.export import export


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """Results of all structures by processor layout, or by Python; each is run once."""
    folder = tmp_path_factory.mktemp("exactness")
    prepare(folder)
    return cache(lambda where: in_python(folder) if where == "python" else in_lammps(folder, where))


@pytest.mark.parametrize(
    ("layout", "case"), [(layout, case) for layout in LAYOUTS for case in cases_on(layout)]
)
def test_ranks_do_not_change_any_result(evaluate, layout, case):
    got, wanted = evaluate(layout)[case], evaluate(ONE_RANK)[case]
    for quantity in QUANTITIES:
        assert deviation(got, wanted, quantity) < 1e-10, quantity


@pytest.mark.parametrize(
    ("layout", "case"),
    [(layout, case) for layout in (ONE_RANK, *LAYOUTS) for case in cases_on(layout)],
)
def test_lammps_gives_the_numbers_of_python(evaluate, layout, case):
    got, wanted = evaluate(layout)[case], evaluate("python")[case]
    for quantity in QUANTITIES:
        assert deviation(got, wanted, quantity) < 1e-8, quantity


@pytest.mark.parametrize("case", cases())
def test_every_quantity_of_every_case_is_worth_comparing(evaluate, case):
    for quantity, values in evaluate("python")[case].items():
        assert np.abs(values).max() > 1e-6, quantity


@pytest.mark.parametrize("layers", [2, 3])
def test_with_hops_one_too_low_the_matrix_would_fail(tmp_path, layers):
    name = f"{layers} layers, long"
    case = cases()[name]
    write_data(tmp_path / f"{slug(name)}.data", case.atoms, case.elements)
    save_toy(tmp_path / case.model, MessagePassing(layers), hops=layers - 1)
    wanted = reference(Model(tmp_path / case.model), case)
    one, two = (
        in_lammps(tmp_path, layout, {name: case})[name] for layout in (ONE_RANK, LAYOUTS[0])
    )
    for quantity in ("energy", "forces", "virial", "uncertainty gradient", "uncertainty virial"):
        # one rank has all edges of a model of several hops, but not of a model of one hop
        assert deviation(one, wanted, quantity) < 1e-8 or layers == 2
        assert deviation(two, wanted, quantity) > 1e-6, quantity


EXPORTS = {"float32": 1e-4, "portable": 1e-8, "portable float32": 1e-4}


@pytest.mark.slow
def test_every_export_gives_the_numbers_of_float64_on_1_and_2_ranks(tmp_path):
    """The reference is the default export, float64 with compiled operators, in Python."""
    case = cases()["GM-NN"]
    known = [random_water([8.0] * 3, 30, seed) for seed in (1, 2)]
    trained = save_gmnn(tmp_path / "gmnn.pt", known, ["O", "H"])
    wanted = reference(Model(tmp_path / "gmnn.pt"), case)
    todo = {}
    for name in EXPORTS:
        todo[name] = replace(case, model=f"{slug(name)}.pt")
        dtype = "float32" if "float32" in name else "float64"
        export(trained, tmp_path / todo[name].model, dtype, portable="portable" in name)
        write_data(tmp_path / f"{slug(name)}.data", case.atoms, case.elements)
    for layout in (ONE_RANK, LAYOUTS[0]):
        results = in_lammps(tmp_path, layout, todo)
        for name, tolerance in EXPORTS.items():
            for quantity in QUANTITIES:
                assert deviation(results[name], wanted, quantity) < tolerance, (name, quantity)
            inexact = deviation(results[name], wanted, "forces") > 1e-10
            assert inexact == ("float32" in name)
