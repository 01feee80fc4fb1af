"""Sixteen float32 as one value, so that a kernel written in Python keeps its numbers in vector registers.

Loops alone do not get there: neither Numba nor LLVM turns a loop nest into code that holds a block of results in
registers. With a vector type the block is written down, and each line below becomes a machine instruction or a few:

    float32x16      x = load(array, i)                 array[i : i+16]
                    x = gather(array, i, step)         array[i], array[i + step], … sixteen of them
                    x = splat(number)                  the number, sixteen times
                    x + y, x - y, x * y                per lane; x * y + z is one instruction, rounded once
                    positive(x, y)                     y, and 0 in lanes where x ≤ 0
                    store(array, i, x)                 array[i : i+16] = x
                    prefetch(array, i)                 the cache line of array[i] is on its way; nothing waits for it
                    prefetch_to_write(array, i)        the same, to be written
    rows of them    acc = zero_rows(R)                 R vectors, a block of R×16 numbers
                    acc = load_rows(array, i, step, R) row r is array[i + r·step : … + 16]
                    acc = add_outer(acc, a, i, step, x)   row r += a[i + r·step] · x
                    store_rows(array, i, step, acc)

A float32x16 is one register of AVX-512 and two of AVX2; LLVM splits it where it must. Nothing checks bounds here.
Each name is defined twice: as a NumPy function, for the process without the compiler (NUMBA_DISABLE_JIT=1), in which
every kernel can be stepped through, and as the instruction that it stands for.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16
VECTOR = ir.VectorType(ir.FloatType(), LANES)
INDEX = types.int64


class Float32x16(types.Type):
    """The Numba type of one vector."""

    def __init__(self) -> None:
        super().__init__("float32x16")


class Rows(types.Type):
    """The Numba type of a block: `count` vectors."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"float32x16 rows[{count}]")


float32x16 = Float32x16()


@register_model(Float32x16)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, VECTOR)


@register_model(Rows)
class RowsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, ir.ArrayType(VECTOR, numba_type.count))


# How each operation is written in LLVM's language. `builder` appends instructions and returns their result.


def element_pointer(context: Any, builder: Any, array_type: Any, array: Any, i: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [i])


def emit_load(context: Any, builder: Any, array_type: Any, array: Any, i: Any) -> Any:
    pointer = element_pointer(context, builder, array_type, array, i)
    vector = builder.load(builder.bitcast(pointer, VECTOR.as_pointer()))
    vector.align = 4  # a row of an array starts anywhere
    return vector


def emit_store(context: Any, builder: Any, array_type: Any, array: Any, i: Any, vector: Any) -> None:
    pointer = element_pointer(context, builder, array_type, array, i)
    builder.store(vector, builder.bitcast(pointer, VECTOR.as_pointer()), align=4)


def emit_splat(builder: Any, number: Any) -> Any:
    undefined = ir.Constant(VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def emit_broadcast(context: Any, builder: Any, array_type: Any, array: Any, i: Any) -> Any:
    return emit_splat(builder, builder.load(element_pointer(context, builder, array_type, array, i)))


def emit_fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    name = f"llvm.fma.v{LANES}f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), name)
    return builder.call(function, [x, y, z])


def emit_prefetch(context: Any, builder: Any, array_type: Any, array: Any, i: Any, write: int, locality: int) -> None:
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    function_type = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    pointer = builder.bitcast(element_pointer(context, builder, array_type, array, i), byte)
    builder.call(function, [pointer, number(write), number(locality), number(1)])  # 1: data, not instructions


def row_index(builder: Any, i: Any, step: Any, row: int) -> Any:
    return builder.add(i, builder.mul(step, ir.Constant(i.type, row)))


if config.DISABLE_JIT:

    def load(array, i):
        return array[i : i + LANES].copy()

    def gather(array, i, step):
        return array[i + step * np.arange(LANES)]

    def store(array, i, x):
        array[i : i + LANES] = x

    def prefetch(array, i):
        pass

    def prefetch_to_write(array, i):
        pass

    def splat(number):
        return np.full(LANES, number, np.float32)

    def positive(x, y):
        return np.where(x <= 0, np.float32(0), y)

    def zero_rows(count):
        return np.zeros((count, LANES), np.float32)

    def load_rows(array, i, step, count):
        return np.stack([array[i + row * step : i + row * step + LANES] for row in range(count)])

    def add_outer(acc, a, i, step, x):
        column = np.array([a[i + row * step] for row in range(len(acc))])
        return acc + column[:, None] * x

    def store_rows(array, i, step, acc):
        for row, x in enumerate(acc):
            array[i + row * step : i + row * step + LANES] = x

else:

    @intrinsic
    def load(typing_context, array, i):
        def generate(context, builder, signature, args):
            return emit_load(context, builder, signature.args[0], *args)

        return float32x16(array, INDEX), generate

    @intrinsic
    def gather(typing_context, array, i, step):
        def generate(context, builder, signature, args):
            array, i, step = args
            vector = ir.Constant(VECTOR, ir.Undefined)
            for lane in range(LANES):
                pointer = element_pointer(context, builder, signature.args[0], array, row_index(builder, i, step, lane))
                vector = builder.insert_element(vector, builder.load(pointer), ir.Constant(ir.IntType(32), lane))
            return vector

        return float32x16(array, INDEX, INDEX), generate

    @intrinsic
    def store(typing_context, array, i, x):
        def generate(context, builder, signature, args):
            emit_store(context, builder, signature.args[0], *args)
            return context.get_dummy_value()

        return types.void(array, INDEX, float32x16), generate

    @intrinsic
    def prefetch(typing_context, array, i):
        def generate(context, builder, signature, args):
            emit_prefetch(context, builder, signature.args[0], *args, write=0, locality=2)  # to the second cache
            return context.get_dummy_value()

        return types.void(array, INDEX), generate

    @intrinsic
    def prefetch_to_write(typing_context, array, i):
        def generate(context, builder, signature, args):
            emit_prefetch(context, builder, signature.args[0], *args, write=1, locality=3)
            return context.get_dummy_value()

        return types.void(array, INDEX), generate

    @intrinsic
    def splat(typing_context, number):
        def generate(context, builder, signature, args):
            return emit_splat(builder, args[0])

        return float32x16(types.float32), generate

    @intrinsic
    def positive(typing_context, x, y):
        def generate(context, builder, signature, args):
            zero = ir.Constant(VECTOR, None)
            return builder.select(builder.fcmp_ordered("<=", args[0], zero), zero, args[1])  # NaN ≤ 0 is false

        return float32x16(float32x16, float32x16), generate

    @intrinsic(prefer_literal=True)
    def zero_rows(typing_context, count):
        rows = Rows(count.literal_value)

        def generate(context, builder, signature, args):
            return ir.Constant(ir.ArrayType(VECTOR, rows.count), None)

        return rows(count), generate

    @intrinsic(prefer_literal=True)
    def load_rows(typing_context, array, i, step, count):
        rows = Rows(count.literal_value)

        def generate(context, builder, signature, args):
            array, i, step, _ = args
            acc = ir.Constant(ir.ArrayType(VECTOR, rows.count), ir.Undefined)
            for row in range(rows.count):
                vector = emit_load(context, builder, signature.args[0], array, row_index(builder, i, step, row))
                acc = builder.insert_value(acc, vector, row)
            return acc

        return rows(array, INDEX, INDEX, count), generate

    @intrinsic
    def add_outer(typing_context, acc, a, i, step, x):
        def generate(context, builder, signature, args):
            result, a, i, step, x = args
            for row in range(acc.count):
                number = emit_broadcast(context, builder, signature.args[1], a, row_index(builder, i, step, row))
                total = emit_fma(builder, number, x, builder.extract_value(result, row))
                result = builder.insert_value(result, total, row)
            return result

        return acc(acc, a, INDEX, INDEX, float32x16), generate

    @intrinsic
    def store_rows(typing_context, array, i, step, acc):
        def generate(context, builder, signature, args):
            array, i, step, rows = args
            for row in range(acc.count):
                vector = builder.extract_value(rows, row)
                emit_store(context, builder, signature.args[0], array, row_index(builder, i, step, row), vector)
            return context.get_dummy_value()

        return types.void(array, INDEX, INDEX, acc), generate

    for operation, instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):

        @infer_global(operation)
        class VectorOperation(AbstractTemplate):
            def generic(self, args: Any, keywords: Any) -> Any:
                if args == (float32x16, float32x16):
                    return signature(float32x16, *args)

        def lower(context: Any, builder: Any, signature: Any, args: Any, instruction: str = instruction) -> Any:
            return getattr(builder, instruction)(*args, flags=("contract",))  # x·y + z may become one instruction

        lower_builtin(operation, float32x16, float32x16)(lower)
