"""The model contract, version 1: the interface between a potential and the programs that run it.

A model is a TorchScript module that maps the edges of a structure to atomic energies and to
atomic features *that may be summed*. Uncertainties are functions of features::

    forward(edge_vectors (E, 3) f64, edge_index (2, E) i64, types (n_all,) i64, n_local: int)
        -> {"energies": (n_local,) f64, eV      "features": (n_local, p) f64}
    total_uncertainty(feature_sum (p,) f64, n_atoms: int) -> () f64      calibrated, eV per atom
    atomic_uncertainty(features (n, p) f64) -> (n,) f64                  calibrated, eV/Å

Four more methods are optional and make a model faster::

    atomic_energies(as forward) -> (n_local,) f64
    evaluate(as forward, with_features: bool) -> ((n_local,) f64, (n_local, p) f64, state)
    gradients(as forward, state, of_features (p,) or (n_local, p) f64 or None)
        -> ((E, 3) f64, (E, 3) f64)
    total_uncertainty_gradient(feature_sum (p,) f64, n_atoms: int) -> (() f64, (p,) f64)

Edges and signs:

* ``edge_vectors[e] = r_j - r_i`` with ``i, j = edge_index[:, e]`` (centre i, neighbor j), in Å.
  Every directed pair closer than the cutoff is present, and no other pair.
* Atoms ``0 … n_local-1`` are centres. The others are ghosts, which occur as neighbors only.
* ``types`` are indices in ``Metadata.elements``.
* With ``g_e = ∂(Σ energies)/∂edge_vectors[e]``, equations (1) and (2) of pyubias/README.md are
  ``F_i += g_e``, ``F_j -= g_e``; ``∂E/∂ε = Σ_e ½ (r_e ⊗ g_e + g_e ⊗ r_e)``, and stress is
  ``(1/V) ∂E/∂ε`` with ASE's sign: tension is positive.

`atomic_energies` serves steps that need no uncertainty: it returns the ``energies`` of `forward`
at less cost. The other three methods replace autograd; a model has all of them or none:

* `evaluate` returns energies, features (undefined unless `with_features`) and a state, a tensor
  that only `gradients` reads.
* `gradients` takes that state and returns ``∂(Σ energies)/∂edge_vectors`` and
  ``∂(Σ of_features · features)/∂edge_vectors`` (undefined without `of_features`).
* `total_uncertainty_gradient` returns u and ``∂u/∂feature_sum``.

Both outputs of `forward` stay attached to the autograd graph of ``edge_vectors``: never call
``autograd.grad`` inside ``forward``. The module applies the calibration factors itself. The
TorchScript archive holds the metadata as the JSON file ``pyubias.json``. `save` appends a checksum
of the whole file (`pyubias.model.checksum`); whoever reads a model refuses a file that differs.
"""

from pyubias.model.archive import CONTRACT_VERSION, ContractError, Metadata, load, save
from pyubias.model.check import check_contract

__all__ = ["CONTRACT_VERSION", "ContractError", "Metadata", "check_contract", "load", "save"]
