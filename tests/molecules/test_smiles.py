"""Files of SMILES: lines that can be used, and reasons for the others."""

from pathlib import Path

import pytest

from pyubias.errors import UserError
from pyubias.molecules.smiles import read_smiles


def test_lines_that_cannot_be_used_are_listed_with_their_reason(tmp_path: Path):
    path = tmp_path / "molecules.smi"
    path.write_text("# a comment\nCCO ethanol\n\nOCC\nC[NH3+]\n[CH3]\nCC(\nC.C\nCO\n")
    good, rejected = read_smiles(path)
    assert good == [(2, "CCO"), (9, "CO")]
    assert {r.line: r.reason for r in rejected} == {
        3: "empty line",
        4: "the same molecule as line 2",
        5: "charged (+1): models have no charge",
        6: "open shell (1 unpaired electrons): models have no spin",
        7: "not a SMILES that RDKit understands",
        8: "more than one molecule",
    }


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="does not exist"):
        read_smiles(tmp_path / "none.smi")
