"""Functions that only kernels call are compiled as a part of them, and not for themselves.

    Numba's way    helper ─▶ LLVM's language ─▶ optimized ─▶ machine code, which nobody calls
                                                    └─▶ put into each caller, and optimized there again, and so on up
    here           helper ─▶ LLVM's language ─▶ put into each caller as it is; the kernel is optimized, once

What the kernels compute is the same to the last bit, and they are compiled in much less time.
"""

from typing import Any

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
