"""What a user would write without cafrnet: a bare U-Net script, and MONAI's sliding window. For `peers.py`.

    python benchmarks/peers_torch.py weights FOLDER
    python benchmarks/peers_torch.py unet SCAN WEIGHTS OUT THREADS
    python benchmarks/peers_torch.py sliding SCAN WEIGHTS OUT THREADS PIXEL_MM

Nothing of cafrnet is imported, so that start-up is torch's and MONAI's own. Weights are random: only time and
memory mean anything. Slices lie on the third axis of the scan, as in the phantom that `peers.py` writes.
"""

import sys
from itertools import pairwise
from pathlib import Path

#: Channels at full resolution and after each halving: the size of Table 3's U-Net and nnU-Net.
WIDTHS = (32, 64, 128, 256, 512)
CLASSES = 20
#: Pixels of the U-Net's input; pixels, overlap and windows at once of MONAI's inferer.
SIDE, WINDOW, OVERLAP, AT_ONCE = 256, 256, 0.25, 4


def make_unet():
    """Return a U-Net of 12.07 GMACs at 256 x 256, the size of the registry's, in torch alone."""
    import torch
    from torch import nn

    def two(a, b):
        layers = []
        for first, second in ((a, b), (b, b)):
            layers += [nn.Conv2d(first, second, 3, padding=1, bias=False), nn.BatchNorm2d(second), nn.ReLU()]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            steps = list(pairwise(WIDTHS))
            self.first, self.pool = two(1, WIDTHS[0]), nn.MaxPool2d(2)
            self.down = nn.ModuleList(two(a, b) for a, b in steps)
            self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in reversed(steps))
            self.join = nn.ModuleList(two(2 * a, a) for a, _ in reversed(steps))
            self.head = nn.Conv2d(WIDTHS[0], CLASSES, 1)

        def forward(self, x):
            features = [self.first(x)]
            for down in self.down:
                features.append(down(self.pool(features[-1])))
            x = features.pop()
            for up, join in zip(self.up, self.join, strict=True):
                x = join(torch.cat((features.pop(), up(x)), 1))
            return self.head(x)

    return UNet()


def make_dynunet():
    """Return nnU-Net's plain network of five stages as MONAI has it, the size of the registry's `nnunet`."""
    from monai.networks.nets import DynUNet

    halvings = [2] * (len(WIDTHS) - 1)
    return DynUNet(
        2, 1, CLASSES, [3] * len(WIDTHS), [1, *halvings], halvings, filters=WIDTHS,
        norm_name=("instance", {"affine": True}),
        act_name=("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
    )  # fmt: skip


def weights(folder):
    """Write random weights of both networks (seed 0)."""
    import torch

    torch.manual_seed(0)
    for name, make in (("unet", make_unet), ("sliding", make_dynunet)):
        torch.save(make().state_dict(), Path(folder) / f"{name}.pt")


def ready(network, path, threads):
    """Return a network with its weights, ready to predict on so many threads."""
    import torch

    torch.set_num_threads(int(threads))
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval().to(memory_format=torch.channels_last)


def unet(scan, path, out, threads):
    """Each slice to 256 x 256, through the U-Net, logits back to the scan's grid, argmax, a label map."""
    import nibabel as nib
    import numpy as np
    import torch
    from torch.nn.functional import interpolate

    network = ready(make_unet(), path, threads)
    image = nib.load(scan)
    voxels = torch.from_numpy(np.asarray(image.dataobj, np.float32)).permute(2, 0, 1)[:, None]
    small = interpolate(voxels, (SIDE, SIDE), mode="bilinear", antialias=True)
    small = (small - small.mean()) / small.std()
    labels = np.empty(image.shape, np.uint8)
    with torch.inference_mode():
        for begin in range(0, len(small), AT_ONCE):
            logits = network(small[begin : begin + AT_ONCE].contiguous(memory_format=torch.channels_last))
            for k, one in enumerate(logits, begin):  # a slice at a time: all logits at once are 740 MB
                wide = interpolate(one[None], image.shape[:2], mode="bilinear")
                labels[..., k] = wide.argmax(1)[0].numpy()
    nib.save(nib.Nifti1Image(labels, image.affine), out)


def sliding(scan, path, out, threads, pixel_mm):
    """MONAI's way: a common pixel size, overlapping windows in each slice, logits inverted to the scan."""
    import torch
    from monai import transforms as t
    from monai.data import decollate_batch, list_data_collate
    from monai.inferers import SliceInferer

    network = ready(make_dynunet(), path, threads)
    pixel = float(pixel_mm)
    before = t.Compose([
        t.LoadImaged("image"),
        t.EnsureChannelFirstd("image"),
        t.Spacingd("image", pixdim=(pixel, pixel, -1.0), mode="bilinear"),
        t.NormalizeIntensityd("image"),
    ])  # fmt: skip
    after = t.Compose([
        t.Invertd("pred", before, orig_keys="image", nearest_interp=False),
        t.AsDiscreted("pred", argmax=True),
    ])  # fmt: skip
    save = t.SaveImage(
        output_dir=Path(out).parent, output_postfix="", output_dtype="uint8", separate_folder=False,
        resample=False, print_log=False,
    )  # fmt: skip
    infer = SliceInferer(roi_size=(WINDOW, WINDOW), sw_batch_size=AT_ONCE, overlap=OVERLAP, spatial_dim=2)
    with torch.inference_mode():
        batch = list_data_collate([before({"image": str(scan)})])
        batch["pred"] = infer(batch["image"], network)
        (done,) = [after(one) for one in decollate_batch(batch)]
        save(done["pred"], filename=str(out).removesuffix(".nii.gz"))


def main():
    """Run the function that the first word names on the other words."""
    question, *words = sys.argv[1:]
    {"weights": weights, "unet": unet, "sliding": sliding}[question](*words)


if __name__ == "__main__":
    main()
