"""Functions that only kernels call are compiled as a part of them, and not for themselves.

    Numba's way    helper ─▶ LLVM's language ─▶ optimized ─▶ machine code, which nobody calls
                                                    └─▶ put into each caller, and optimized there again, and so on up
    here           helper ─▶ LLVM's language ─▶ put into each caller as it is; the kernel is optimized, once

A number written in the code, such as the 0 of f(x, 0), is a type of its own to Numba, and f compiled for it once more;
here it is an int64 like others. What the kernels compute is the same to the last bit, in both respects, and they are
compiled in much less time.
"""

from collections.abc import Callable
from typing import Any

import numba
from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class Inlined(JITCodeLibrary):
    """The code of one function, in LLVM's language, for other functions to take it in."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True  # without machine code

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Numba would tell the machine code where the function's environment is, through `codegen`."""


class Inlining(Compiler):
    """Numba's compiler, for a function of this kind."""

    def define_pipelines(self) -> Any:
        self.state.library = Inlined(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()


def put_into_kernels(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make such a function, with these options of `numba.njit`."""

    def make(function: Callable[..., Any]) -> Any:
        made = numba.njit(pipeline_class=Inlining, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)
        if numba.config.DISABLE_JIT:
            return made
        template_for_types = made.get_call_template

        def template(arguments: Any, keywords: Any) -> Any:
            # True and False stay types: what a caller never asks for is left out of the function made for it.
            integers = [types.int64 if isinstance(one, types.IntegerLiteral) else one for one in arguments]
            return template_for_types(integers, keywords)

        made.get_call_template = template
        return made

    return make
