"""Slices of one tensor in TorchScript, taken together.

The gradient of a slice is a tensor of zeros as large as what it was taken from, and the gradients
of many slices are added one by one. Models of e3nn slice the weights of each edge once for each
path of a tensor product, so that they spend much of a step there. The gradient of a split is one
tensor.
"""

import itertools
from collections import defaultdict
from typing import Any

import torch

__all__ = ["join_slices"]

END = 2**63 - 1  # of x[:]


def join_slices(module: torch.jit.ScriptModule) -> int:
    """Replace slices by splits in all methods of a module that was not run yet; returns how many.

    Those are replaced that have constant bounds, of which no two overlap, and not along the first
    dimension, whose size may be any. Methods that change tensors in place stay as they are.
    """
    joined = 0
    parts: list[Any] = list(module.modules())
    for part in parts:
        for name in part._c._method_names():
            graph = part._c._get_method(name).graph
            if not any(_is_in_place(node) for node in graph.nodes()):
                joined += _in_block(graph, graph)
    return joined


def _is_in_place(node: Any) -> bool:
    inner = (n for block in node.blocks() for n in block.nodes())
    kind = node.kind()
    in_place = kind.endswith("_") and not kind.endswith("__")
    return in_place or any(_is_in_place(n) for n in inner)


def _in_block(graph: Any, block: Any) -> int:
    groups: dict[tuple[str, int], list[tuple[int, int, Any]]] = defaultdict(list)
    joined = 0
    for node in list(block.nodes()):
        for inner in node.blocks():
            joined += _in_block(graph, inner)
        bounds = _bounds(node)
        if bounds is None:
            continue
        dim, start, end = bounds
        source = node.inputsAt(0)
        if (start, end) == (0, END):
            node.output().replaceAllUsesWith(source)
            node.destroy()
        elif dim != 0:
            groups[source.debugName(), dim].append((start, end, node))
    for (_, dim), slices in groups.items():
        if len(slices) > 1 and _disjoint(slices):
            _split(graph, dim, slices)
            joined += len(slices)
    return joined


def _bounds(node: Any) -> tuple[int, int, int] | None:
    """Dimension, start and end of a slice of a tensor that has constant ones and no step."""
    if node.kind() != "aten::slice" or node.inputsSize() != 5:
        return None
    values = list(node.inputs())[1:]
    if any(v.node().kind() != "prim::Constant" for v in values):
        return None
    dim, start, end, step = (v.toIValue() for v in values)
    start, end = 0 if start is None else start, END if end is None else end
    if dim is None or step != 1 or start < 0 or end < start or (start > 0 and end == END):
        return None
    return dim, start, end


def _disjoint(slices: list[tuple[int, int, Any]]) -> bool:
    ranges = sorted({(start, end) for start, end, _ in slices})
    return all(a[1] <= b[0] for a, b in itertools.pairwise(ranges))


def _split(graph: Any, dim: int, slices: list[tuple[int, int, Any]]) -> None:
    """Replace slices of one tensor, which come in the order of the graph, by one split.

    The split has a piece for each slice, for each gap, and for what comes after the last slice.
    """
    first = slices[0][2]
    source = first.inputsAt(0)
    with graph.insert_point_guard(first):
        along = graph.insertConstant(dim)
        sizes, piece_of, last = [], {}, 0
        for start, end in sorted({(start, end) for start, end, _ in slices}):
            if start > last:
                sizes.append(graph.insertConstant(start - last))
            piece_of[start, end] = len(sizes)
            sizes.append(graph.insertConstant(end - start))
            last = end
        whole = graph.insert("aten::size", [source, along])
        sizes.append(graph.insert("aten::sub", [whole, graph.insertConstant(last)]))
        listed = graph.insertNode(graph.create("prim::ListConstruct", sizes, 1)).output()
        listed.setType(torch._C.ListType.ofInts())
        pieces = graph.insert("aten::split_with_sizes", [source, listed, along])
        unpacked = graph.insertNode(graph.create("prim::ListUnpack", [pieces], len(sizes)))
    outputs = list(unpacked.outputs())
    for output in outputs:
        output.setType(torch._C.TensorType.get())
    for start, end, node in slices:
        node.output().replaceAllUsesWith(outputs[piece_of[start, end]])
        node.destroy()
