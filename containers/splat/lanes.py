"""Sixteen float32 as one value inside numba kernels, which computes the pixels in a row of a tile at once.

numba's own vectoriser gives up on loops with masks and several accumulators, or keeps these in memory. Here LLVM's
vectors are a numba type: `Lanes` has the arithmetic of a float, comparisons give a `Mask`, and both stay in registers
(one of AVX-512, two of AVX2, four of NEON or SSE).

A mask is cheap if one `select` uses it directly after the comparison. Without AVX-512 no register holds a mask:
combining two, keeping one, or testing whether any lane is true costs extra packs, shuffles and sign extensions. In
these cases, call `bits` once and use integer arithmetic.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import intrinsic, lower_builtin, models, register_model
from numba.core.typing import templates

from splat.kernels import Scalar, inlined

LANES = 16
_INT16, _INT32, _FLOAT = ir.IntType(LANES), ir.IntType(32), ir.FloatType()
_FLOATS, _BITS = ir.VectorType(_FLOAT, LANES), ir.VectorType(ir.IntType(1), LANES)
_NOTHING = ir.Constant(_FLOATS, ir.Undefined)


class Lanes(types.Type):
    """Sixteen float32."""


class Mask(types.Type):
    """Sixteen truth values."""


_LANES, _MASK = Lanes(name="Lanes"), Mask(name="Mask")
_models: Any = models  # untyped, as the three below
_templates: Any = templates
_cgutils: Any = cgutils
_lower: Any = lower_builtin
register_model(Lanes)(lambda manager, kind: _models.PrimitiveModel(manager, kind, _FLOATS))
register_model(Mask)(lambda manager, kind: _models.PrimitiveModel(manager, kind, _BITS))


def _spread(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A float32 in every lane; lanes as they are."""
    if value.type == _FLOATS:
        return value
    first = builder.insert_element(_NOTHING, value, _INT32(0))
    return builder.shuffle_vector(first, _NOTHING, ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES))


def _teach(symbol: Any, result: types.Type, build: Callable[[Any, ir.Value, ir.Value], ir.Value]) -> None:
    """Define the binary operator `symbol` in numba for two `Lanes`, or for `Lanes` and a float32 in every lane."""
    operands = [(_LANES, _LANES), (_LANES, types.float32), (types.float32, _LANES)]
    signatures = [_templates.signature(result, *pair) for pair in operands]
    template: Any = type("Operator", (_templates.ConcreteTemplate,), {"cases": signatures})
    _templates.infer_global(symbol)(template)

    def lower(_context: Any, builder: Any, _signature: Any, values: Any) -> ir.Value:
        return build(builder, _spread(builder, values[0]), _spread(builder, values[1]))

    for pair in operands:
        _lower(symbol, *pair)(lower)


_teach(operator.add, _LANES, lambda builder, a, b: builder.fadd(a, b))
_teach(operator.iadd, _LANES, lambda builder, a, b: builder.fadd(a, b))
_teach(operator.sub, _LANES, lambda builder, a, b: builder.fsub(a, b))
_teach(operator.mul, _LANES, lambda builder, a, b: builder.fmul(a, b))
_teach(operator.truediv, _LANES, lambda builder, a, b: builder.fdiv(a, b))
_teach(operator.le, _MASK, lambda builder, a, b: builder.fcmp_ordered("<=", a, b))
_teach(operator.lt, _MASK, lambda builder, a, b: builder.fcmp_ordered("<", a, b))
_teach(operator.ge, _MASK, lambda builder, a, b: builder.fcmp_ordered(">=", a, b))
_teach(operator.gt, _MASK, lambda builder, a, b: builder.fcmp_ordered(">", a, b))


def _primitive(result: types.Type, build: Callable[..., ir.Value | None]) -> Any:
    """A function for kernels whose code `build(builder, *values)` emits; arrays are passed as data pointers."""

    def definition(_typing: Any, *operands: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, values: Any) -> ir.Value:
            plain = [
                context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
                for kind, value in zip(operands, values, strict=True)
            ]
            return build(builder, *plain) or context.get_dummy_value()

        return result(*operands), generate

    definition.__signature__ = inspect.signature(build)  # type: ignore[attr-defined]  # numba asks how many there are
    return intrinsic(definition)


def _address(builder: Any, data: ir.Value, index: ir.Value) -> ir.Value:
    return builder.bitcast(builder.gep(data, [index]), _FLOATS.as_pointer())


def _store(builder: Any, data: ir.Value, index: ir.Value, values: ir.Value) -> None:
    builder.store(values, _address(builder, data, index), align=4)


def _mask_of(builder: Any, value: ir.Value) -> ir.Value:
    return builder.bitcast(value if value.type == _INT16 else builder.trunc(value, _INT16), _BITS)


def _square_root(builder: Any, values: ir.Value) -> ir.Value:
    kind = ir.FunctionType(_FLOATS, [_FLOATS])
    return builder.call(_cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f32"), [values])


def _total(builder: Any, values: ir.Value) -> ir.Value:
    kind = ir.FunctionType(_FLOAT, [_FLOAT, _FLOATS])
    function = _cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
    return builder.call(function, [_FLOAT(-0.0), values])


# broadcast(x): a float32 in every lane. lane_numbers(): 0, 1, … 15.
broadcast = _primitive(_LANES, _spread)
lane_numbers = _primitive(_LANES, lambda _builder: ir.Constant(_FLOATS, [float(lane) for lane in range(LANES)]))

# load(array, i), store(array, i, lanes): elements i to i + 15 of a contiguous one-dimensional float32 array.
load = _primitive(_LANES, lambda builder, data, i: builder.load(_address(builder, data, i), align=4))
store = _primitive(types.void, _store)

# select(mask, a, b): a where the mask is true, b elsewhere.
select = _primitive(_LANES, lambda builder, mask, a, b: builder.select(mask, _spread(builder, a), _spread(builder, b)))

# bits(mask): a mask as an integer, lane 0 its lowest bit. mask_of(integer): the reverse, of its lowest sixteen bits.
bits = _primitive(types.uint16, lambda builder, mask: builder.bitcast(mask, _INT16))
mask_of = _primitive(_MASK, _mask_of)

# square_root(lanes): lane by lane. total(lanes): their sum, in one fixed order.
square_root = _primitive(_LANES, _square_root)
total = _primitive(types.float32, _total)


@inlined
def least(a: Scalar, b: Scalar) -> Scalar:
    """The smaller value, lane by lane; one of the two may be a float32."""
    return select(a < b, a, b)


@inlined
def greatest(a: Scalar, b: Scalar) -> Scalar:
    """The larger value, lane by lane; one of the two may be a float32."""
    return select(a > b, a, b)
