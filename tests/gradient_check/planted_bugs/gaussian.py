"""GELU, exact and with tanh."""

import numpy as np

from minires.ops.gaussian import GELU, TanhGELU, normal_cdf_and_pdf
from planted_bugs.planting import planted


@planted(GELU, "gelu")
def density_forgotten(self, grad_y):
    cdf, _ = normal_cdf_and_pdf(np, self.inputs[0].data)
    return (grad_y * cdf,)


@planted(GELU, "gelu")
def density_not_times_x(self, grad_y):
    cdf, pdf = normal_cdf_and_pdf(np, self.inputs[0].data)
    return (grad_y * (cdf + pdf),)


@planted(GELU, "gelu")
def density_of_another_spread(self, grad_y):
    x = self.inputs[0].data
    cdf, _ = normal_cdf_and_pdf(np, x)
    return (grad_y * (cdf + x * np.exp(-x * x) / np.sqrt(np.pi)),)


@planted(TanhGELU, "gelu, tanh")
def exact_slope_for_the_approximation(self, grad_y):
    x = self.inputs[0].data
    cdf, pdf = normal_cdf_and_pdf(np, x)
    return (grad_y * (cdf + x * pdf),)


@planted(TanhGELU, "gelu, tanh")
def cube_not_derived(self, grad_y):
    x = self.inputs[0].data
    tanh = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    return (grad_y * 0.5 * (1 + tanh + x * (1 - tanh**2) * np.sqrt(2 / np.pi)),)
