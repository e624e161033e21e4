#!/usr/bin/env python3
"""Training the network of an experiment file with PyTorch, for comparison with `consilium bench train`.

    python3 -m venv torch && torch/bin/pip install torch numpy
    torch/bin/python benches/peers/pytorch_train.py configs/pneumonia.toml --data pneumoniamnist.npz --threads 2
    consilium bench train configs/pneumonia.toml --data pneumoniamnist.npz --epochs 20 --threads 2

Same layers, batches, loss (class weights, range penalty), gradient clipping, optimiser, schedule and distortions as the
experiment says; the distortions are one affine grid for the whole batch, sampled bilinearly.
--no-augmentation leaves them out. Reads MedMNIST archives and folders of gzipped IDX files. One JSON line for the
median epoch and one for the test part. (The interpreter must know tomllib: Python 3.11 or later.)
"""
import argparse
import gzip
import json
import math
import pathlib
import statistics
import time
import tomllib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CLASS_WEIGHT_MAX, INITIAL_SPREAD, LAST_LAYER_SPREAD = 20.0, 0.5, 0.3


class Quadratic(nn.Module):
    """x (x + beta), one beta per channel; keeps its input for the range penalty."""

    def __init__(self, channels, image):
        super().__init__()
        self.beta = nn.Parameter(torch.ones(channels))
        self.shape = (1, channels, 1, 1) if image else (1, channels)
        self.input = None

    def forward(self, x):
        self.input = x
        return x * (x + self.beta.view(self.shape))


def network(layers, channels, height, width):
    modules, flat = [], False
    for layer in layers:
        kind = layer["type"]
        if kind == "conv":
            kernel, stride = layer["kernel"], layer["stride"]
            padding = layer.get("padding", max(kernel + 1 - stride, 0) // 2)
            modules.append(nn.Conv2d(channels, layer["channels"], kernel, stride, padding))
            channels = layer["channels"]
            height, width = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
        elif kind == "quadratic":
            modules.append(Quadratic(channels, not flat))
        elif kind == "dense":
            features = channels if flat else channels * height * width
            if not flat:
                modules.append(nn.Flatten())
            modules.append(nn.Linear(features, layer["units"]))
            channels, flat = layer["units"], True
        else:
            raise SystemExit(f"layers of type {kind!r} are not compared")
    model = nn.Sequential(*modules)
    weighted = [module for module in model if isinstance(module, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        for module in weighted:
            spread = INITIAL_SPREAD / math.sqrt(module.weight[0].numel())
            module.weight.normal_(0.0, spread * (LAST_LAYER_SPREAD if module is weighted[-1] else 1.0))
            module.bias.zero_()
    return model


def idx(path):
    data = gzip.decompress(path.read_bytes())
    sides = [int.from_bytes(data[4 + 4 * side:8 + 4 * side], "big") for side in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(sides)).reshape(sides)


def images(path, data):
    """Training and test images as (n, 1, h, w) in the experiment's normalisation, with their labels."""
    if path.suffix == ".npz":
        archive = np.load(path)
        parts = [(archive[f"{part}_images"], archive[f"{part}_labels"].ravel()) for part in ("train", "test")]
    else:
        parts = [(idx(path / f"{part}-images-idx3-ubyte.gz"), idx(path / f"{part}-labels-idx1-ubyte.gz"))
                 for part in ("train", "t10k")]
        kept = round(len(parts[0][1]) * data.get("split", {}).get("train", 0.7))
        kept = min(kept, data.get("simulate", {}).get("max-samples", kept))
        parts[0] = (parts[0][0][:kept], parts[0][1][:kept])
    norm = data.get("normalise", {})
    mean, deviation = norm.get("mean", 0.5), norm.get("std", 0.25)

    def tensors(pixels, labels):
        pixels = torch.from_numpy(np.array(pixels)).float().unsqueeze(1) / 255.0
        return (pixels - mean) / deviation, torch.from_numpy(np.array(labels)).long()

    return [tensors(*part) for part in parts]


def distorted(batch, settings):
    """One random affine map, offset and gain per image."""
    count = len(batch)

    def within(reach):
        return (2.0 * torch.rand(count) - 1.0) * reach

    angle = within(math.radians(settings.get("rotation", 10.0)))
    zoom = 1.0 + within(settings.get("scale", 0.1))
    shift = settings.get("shift", 0.07)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = [torch.stack([cos, -sin, 2.0 * within(shift)], 1), torch.stack([sin, cos, 2.0 * within(shift)], 1)]
    theta = torch.stack(rows, 1)
    grid = functional.affine_grid(theta, batch.shape, align_corners=False)
    batch = functional.grid_sample(batch, grid, mode="bilinear", padding_mode="border", align_corners=False)
    gain, offset = 1.0 + within(settings.get("contrast", 0.1)), within(settings.get("brightness", 0.1))
    return batch * gain.view(-1, 1, 1, 1) + offset.view(-1, 1, 1, 1)


def auc(scores, positive):
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    for value in np.unique(scores):
        tied = scores == value
        if tied.sum() > 1:
            ranks[tied] = ranks[tied].mean()
    ups = positive.sum()
    return (ranks[positive].sum() - ups * (ups + 1) / 2) / (ups * (len(scores) - ups))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-augmentation", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    experiment = tomllib.loads(arguments.experiment.read_text())
    torch.manual_seed(experiment["experiment"].get("seed", 1))
    settings, data = experiment.get("train", {}), experiment["data"]
    shape = data["image"]
    (pixels, labels), (test_pixels, test_labels) = images(arguments.data, data)
    model = network(experiment["model"]["layers"], shape.get("channels", 1), shape["height"], shape["width"])
    activations = [module for module in model if isinstance(module, Quadratic)]
    classes = len(data["classes"])
    counts = torch.bincount(labels, minlength=classes).float()
    weights = torch.ones(classes)
    if settings.get("class-weights", "balanced") == "balanced":
        weights = (counts.max() / counts.clamp(min=1.0)).clamp(max=CLASS_WEIGHT_MAX)
    penalty, limit = settings.get("range-penalty", 0.01), settings.get("range-limit", 4.0)
    peak, decay = settings.get("learning-rate", 3e-3), settings.get("weight-decay", 1e-3)
    clip, of_step = settings.get("gradient-clip", 1.0), settings.get("local-epochs", 1)
    count = len(labels)
    batches = math.ceil(count / settings.get("batch-size", 64))
    steps = math.ceil(arguments.epochs / of_step)
    rounds, seconds = max(steps - 1, 1), []
    for step in range(steps):
        rate = peak * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(step, rounds - 1) / rounds)))
        if settings.get("optimizer", "adamw") == "adamw":
            optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=decay)
        else:
            optimiser = torch.optim.SGD(model.parameters(), rate, settings.get("momentum", 0.9))
        for _ in range(min(of_step, arguments.epochs - step * of_step)):
            started = time.perf_counter()
            order = torch.randperm(count)
            for batch in range(batches):
                chosen = order[batch * count // batches:(batch + 1) * count // batches]
                batch_pixels = pixels[chosen]
                if not arguments.no_augmentation:
                    batch_pixels = distorted(batch_pixels, settings.get("augmentation", {}))
                loss = functional.cross_entropy(model(batch_pixels), labels[chosen], weights)
                for activation in activations:
                    x = activation.input
                    loss = loss + penalty * (x - x.clamp(-limit, limit)).square().mean()
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimiser.step()
            seconds.append(time.perf_counter() - started)
    with torch.no_grad():
        logits = torch.cat([model(part) for part in test_pixels.split(256)])
    odds = torch.log_softmax(logits.double(), 1)
    odds = (odds - torch.log1p(-odds.exp().clamp(max=1 - 1e-15))).numpy()
    truth = test_labels.numpy()
    median = statistics.median(seconds)
    common = {"peer": f"torch {torch.__version__}", "network": experiment["experiment"]["name"],
              "threads": arguments.threads, "augmentation": not arguments.no_augmentation}
    print(json.dumps({**common, "op": "train.epoch", "images": count, "epochs": len(seconds),
                      "batch_size": settings.get("batch-size", 64), "median_s": median, "min_s": min(seconds),
                      "images_per_second": round(count / median, 1)}))
    print(json.dumps({**common, "op": "train.test", "images": len(truth),
                      "accuracy": float((logits.argmax(1).numpy() == truth).mean()),
                      "auc": float(np.mean([auc(odds[:, k], truth == k) for k in range(classes)])),
                      "logit_max": float(logits.abs().max())}))


if __name__ == "__main__":
    main()
