"""One step of training, whose gradients are written down: a script, since Lightning starts its processes by
starting the script again.

    python ddp_worker.py DATA SPLIT RUN GRADIENTS word...

Batch normalisation is in eval mode, so that the loss of an image does not depend on the others by itself.
"""

import sys

import torch
from torch import nn

from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training import run as engine


class NotingGradients(engine.Journal):
    """Leaves the gradients of the first step behind, and the loss."""

    path = ""

    def on_train_batch_start(self, trainer, module, batch, step):
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()

    def on_before_optimizer_step(self, trainer, module, optimizer):
        gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        torch.save(gradients, f"{self.path}.{trainer.global_rank}")

    def on_train_batch_end(self, trainer, module, outputs, batch, step):
        shown = {"images": len(batch.image), "losses": {k: float(v) for k, v in module._sums.items()}}
        torch.save(shown, f"{self.path}.{trainer.global_rank}.shown")


def main() -> None:
    data, split, run, NotingGradients.path, *words = sys.argv[1:]
    engine.Journal = NotingGradients
    engine.finish = lambda *_, **__: None
    engine.train(load_recipe("cafr_net", words), data, split, run)


if __name__ == "__main__":
    main()
