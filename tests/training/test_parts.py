"""A mean of potentials is trained on all labels, though each of them validates with some."""

import pytest
from structures import copper

from pyubias.training.batches import make_sample
from pyubias.training.parts import Labelled, Part, parts_of_mean


def labelled(n: int) -> list[Labelled]:
    return [(atoms, make_sample(atoms, 4.0, ["Cu"])) for atoms in copper(n)]


def numbers(chosen: list[Labelled], all_: list[Labelled]) -> list[int]:
    return [next(k for k, each in enumerate(all_) if each is pair) for pair in chosen]


@pytest.mark.parametrize(("n", "n_validation", "n_members"), [(9, 2, 3), (10, 1, 2), (4, 2, 2)])
def test_each_member_validates_with_other_structures_and_trains_on_the_rest(
    n: int, n_validation: int, n_members: int
) -> None:
    pairs = labelled(n)
    whole = Part(pairs[n_validation:], pairs[:n_validation])
    parts = parts_of_mean(whole, n_members, seed=3)
    assert parts[0] == whole
    assert len(parts) == n_members
    validated = []
    for part in parts:
        of_part = numbers(part.validation, pairs)
        assert len(of_part) == n_validation
        assert sorted([*of_part, *numbers(part.training, pairs)]) == list(range(n))
        validated += of_part
    assert len(set(validated)) == n_validation * n_members


def test_validation_sets_of_more_members_than_structures_begin_again() -> None:
    pairs = labelled(3)
    parts = parts_of_mean(Part(pairs[1:], pairs[:1]), 5, seed=0)
    found = [numbers(part.validation, pairs)[0] for part in parts]
    assert sorted(found[:3]) == [0, 1, 2]
    assert found[3:] == found[:2]


def test_another_seed_draws_other_validation_sets() -> None:
    pairs = labelled(12)
    whole = Part(pairs[2:], pairs[:2])
    drawn = {
        tuple(numbers(parts_of_mean(whole, 2, seed)[1].validation, pairs)) for seed in range(5)
    }
    assert len(drawn) > 1


def test_without_a_validation_set_all_members_train_on_everything() -> None:
    pairs = labelled(3)
    for part in parts_of_mean(Part(pairs, []), 3, seed=0):
        assert numbers(part.training, pairs) == [0, 1, 2]
        assert part.validation == []
