"""Prints the polynomial coefficients of simd.h: minimax fits by Lawson's iteration (reweighted least squares). Needs numpy and scipy."""
import numpy as np
from scipy.special import erfcx


def chebyshev_nodes(a, b, n=2000):
    return (a + b) / 2 + (b - a) / 2 * np.cos(np.pi * (np.arange(n) + 0.5) / n)


def minimax(rows, target):
    """Coefficients c with the smallest largest relative error of rows @ c against target."""
    weight = np.ones_like(target)
    for _ in range(300):
        c = np.linalg.lstsq(rows / target[:, None] * weight[:, None], weight, rcond=None)[0]
        error = np.abs(rows @ c / target - 1)
        weight *= np.sqrt(error / error.max() + 1e-3)
        weight /= weight.max()
    return c, error.max()


def show(name, c, error):
    print(f"{name}: relative error {error:.1e}, constant term first")
    print("  " + ", ".join(f"{np.float32(x):.9g}f" for x in c))


# q of e^r = 1 + r + r^2 q(r) on |r| <= ln(2) / 2; the error counts relative to (e^r - 1 - r) / r^2 = 1/2 + r/6 + ...
r = chebyshev_nodes(-0.3467, 0.3467)
show("exp q", *minimax(np.vander(r, 5, increasing=True), (np.expm1(r) - r) / r**2))

# g of Phi(-u) = e^(-u^2/2) t g(t), t = 1 / (1 + 0.3 u), for u in 0 .. 14.5; below that Phi is less than the smallest fp32 number.
t = chebyshev_nodes(1 / (1 + 0.3 * 14.5), 1)
u = (1 / t - 1) / 0.3
show("Phi g", *minimax(np.vander(t, 10, increasing=True), 0.5 * erfcx(u / np.sqrt(2)) / t))

# The same to 1e-5, for bf16 results: e^r itself, and g with five powers.
show("rough exp", *minimax(np.vander(r, 5, increasing=True), np.exp(r)))
t = chebyshev_nodes(1 / (1 + 0.3 * 13.2), 1)
u = (1 / t - 1) / 0.3
show("rough Phi g", *minimax(np.vander(t, 6, increasing=True), 0.5 * erfcx(u / np.sqrt(2)) / t))
