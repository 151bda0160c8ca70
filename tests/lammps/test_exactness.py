"""E, F, virial, u and its gradients do not depend on ranks, and are those of Python."""

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
)


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
