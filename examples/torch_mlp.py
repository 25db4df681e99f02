"""A PyTorch model as f, with masks by layer and by unit; nothing is proven of it, and what is estimated says so."""

import torch

import mastsim as ms

torch.manual_seed(0)
A = torch.randn(60, 4)
y = (A[:, 0] * A[:, 1] > 0).long()
model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
f = ms.TorchProblem(model, torch.nn.functional.cross_entropy, (A, y))
ms.testing.check_problem(f)
for by in ("layer", "unit"):
    S = ms.BlockBernoulli(f.dim, f.blocks(by), keep=0.8)
    F = ms.Mast(f, S, shift=f.weights)
    seen = ms.smoothness_along(ms.DSGD(0.01), F, steps=20)
    print(f"{by}: L = {seen.largest:.4g} ({seen.largest.kind}), step {seen.stepsize:.4g} ({seen.stepsize.source})")
    run = ms.simulate(ms.DSGD(float(seen.stepsize)), F, steps=50, replicas=4, seed=0, measures=("f",))
    print(f"f from {run.traces['f'][:, 0].mean():.4f} to {run.traces['f'][:, -1].mean():.4f} after 50 steps")
