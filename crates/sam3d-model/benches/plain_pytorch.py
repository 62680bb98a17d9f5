"""The network as it is defined, in plain PyTorch: what the speed and memory of sam3d are compared with.

It follows the definition step by step: the crop is upsampled, every slice embedded, scores are written to memory, the
decoder's first convolution runs over all 513 channels, and every click costs a whole forward pass. Before anything is timed
its logits at size tiny are compared with the golden ones; if they differ it stops.

    python plain_pytorch.py --model vit_b --repeats 1

prints one line of JSON: seconds of each forward pass and the largest resident set in MiB. Needs torch and numpy only.
"""

import argparse
import json
import math
import resource
import struct
import sys
import time
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional as F

GOLDEN = Path(__file__).resolve().parents[2] / "sam3d-testkit" / "golden"

PRESETS = {
    "tiny": dict(crop=64, grid=16, dim=48, depth=12, heads=3, global_blocks=(2, 5, 8, 11), neck=32,
                 prompt_heads=4, prompt_mlp=64, hidden=16),
    "vit_b": dict(crop=128, grid=32, dim=768, depth=12, heads=12, global_blocks=(2, 5, 8, 11), neck=256,
                  prompt_heads=8, prompt_mlp=2048, hidden=128),
    "vit_l": dict(crop=128, grid=32, dim=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23), neck=256,
                  prompt_heads=8, prompt_mlp=2048, hidden=128),
}
PATCH, WINDOW, SAM_WINDOW, QUERIES = 16, 8, 14, 10


class Adapter(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.linear1 = nn.Linear(dim, dim // 2)
        self.conv = nn.Conv3d(dim // 2, dim // 2, 3, padding=1, groups=dim // 2)
        self.linear2 = nn.Linear(dim // 2, dim)

    def forward(self, x):
        y = F.relu(self.linear1(x)).permute(0, 4, 1, 2, 3)
        y = F.relu(self.conv(y)).permute(0, 2, 3, 4, 1)
        return x + F.relu(self.linear2(y))


class Attention(nn.Module):
    def __init__(self, dim, heads, rows):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        for axis in "hwd":
            setattr(self, f"rel_pos_{axis}", nn.Parameter(torch.zeros(rows, dim // heads)))
        self.lr = nn.Parameter(torch.tensor(1.0))

    def offsets(self, table):
        """Rows q - k of a table, resized to the offsets of a window: [window, window, width]."""
        table = F.interpolate(table.T[None], size=2 * WINDOW - 1, mode="linear")[0].T
        place = torch.arange(WINDOW)
        return table[place[:, None] - place[None, :] + WINDOW - 1]

    def forward(self, x, mask):
        count, tokens, dim = x.shape
        q, k, v = self.qkv(x).view(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        places = q.reshape(count, self.heads, WINDOW, WINDOW, WINDOW, -1)
        h = torch.einsum("nahwdc,hkc->nahwdk", places, self.offsets(self.rel_pos_h))
        w = torch.einsum("nahwdc,wkc->nahwdk", places, self.offsets(self.rel_pos_w))
        d = torch.einsum("nahwdc,dkc->nahwdk", places, self.offsets(self.rel_pos_d))
        relative = h[..., :, None, None] + w[..., None, :, None] + d[..., None, None, :]
        scores = scores + self.lr * relative.reshape(scores.shape)
        if mask is not None:
            scores = scores + mask[:, None]
        out = scores.softmax(-1) @ v
        return self.proj(out.transpose(1, 2).reshape(count, tokens, dim))


class Mlp(nn.Module):
    def __init__(self, dim, hidden, activation):
        super().__init__()
        self.lin1, self.lin2, self.activation = nn.Linear(dim, hidden), nn.Linear(hidden, dim), activation

    def forward(self, x):
        return self.lin2(self.activation(self.lin1(x)))


def partition(x):
    batch, grid, channels = x.shape[0], x.shape[1], x.shape[4]
    n = grid // WINDOW
    x = x.view(batch, n, WINDOW, n, WINDOW, n, WINDOW, channels).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(batch * n**3, WINDOW**3, channels)


def merge(x, grid):
    n = grid // WINDOW
    x = x.view(-1, n, n, n, WINDOW, WINDOW, WINDOW, x.shape[2]).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(-1, grid, grid, grid, x.shape[7])


class Block(nn.Module):
    def __init__(self, p, index):
        super().__init__()
        dim, self.grid, self.shifted = p["dim"], p["grid"], index % 2 == 0
        side = 2 * p["grid"] if index in p["global_blocks"] else SAM_WINDOW
        self.adapter = Adapter(dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, p["heads"], 2 * side - 1)
        self.mlp = Mlp(dim, 4 * dim, F.gelu)
        self.mask = self.shift_mask() if self.shifted else None

    def shift_mask(self):
        cut = torch.zeros(self.grid)
        cut[-WINDOW:], cut[-WINDOW // 2:] = 1, 2
        region = cut[:, None, None] * 9 + cut[None, :, None] * 3 + cut[None, None, :]
        region = partition(region[None, ..., None])[..., 0]
        return torch.where(region[:, :, None] == region[:, None, :], 0.0, -100.0)

    def forward(self, x):
        x = self.adapter(x)
        y, by = self.norm1(x), WINDOW // 2
        if self.shifted:
            y = y.roll((-by, -by, -by), (1, 2, 3))
        y = merge(self.attn(partition(y), self.mask), self.grid)
        if self.shifted:
            y = y.roll((by, by, by), (1, 2, 3))
        x = x + y
        return x + self.mlp(self.norm2(x))


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3).contiguous()


class PatchEmbed(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, PATCH)


class ImageEncoder(nn.Module):
    def __init__(self, p):
        super().__init__()
        dim, grid, neck = p["dim"], p["grid"], p["neck"]
        self.grid, self.levels = grid, [(i + 1) * p["depth"] // 4 - 1 for i in range(4)]
        self.pos_embed = nn.Parameter(torch.zeros(1, 2 * grid, 2 * grid, dim))
        self.depth_embed = nn.Parameter(torch.ones(1, grid, dim))
        self.patch_embed = PatchEmbed(dim)
        self.slice_embed = nn.Conv3d(dim, dim, (1, 1, PATCH), (1, 1, PATCH), groups=dim)
        self.blocks = nn.ModuleList(Block(p, i) for i in range(p["depth"]))
        self.neck_3d = nn.ModuleList(
            nn.Sequential(nn.Conv3d(dim, neck, 1, bias=False), ChannelNorm(neck, eps=1e-6),
                          nn.Conv3d(neck, neck, 3, padding=1, bias=False), ChannelNorm(neck, eps=1e-6))
            for _ in range(4))

    def forward(self, image):
        side = PATCH * self.grid
        x = F.interpolate(image.expand(-1, 3, -1, -1, -1), size=(side,) * 3, mode="trilinear")
        x = x.transpose(1, 2).reshape(-1, 3, side, side)
        x = self.patch_embed.proj(x).view(-1, side, self.slice_embed.in_channels, self.grid, self.grid)
        x = self.slice_embed(x.permute(0, 2, 3, 4, 1)).permute(0, 2, 3, 4, 1)
        pooled = F.avg_pool2d(self.pos_embed.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        x = x + pooled[:, :, :, None] + self.depth_embed[:, None, None]
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.levels:
                maps.append(self.neck_3d[len(maps)](x.permute(0, 4, 1, 2, 3)))
        return maps


class PromptAttention(nn.Module):
    def __init__(self, dim, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, width) for _ in range(3))
        self.out_proj = nn.Linear(width, dim)

    def forward(self, q, k, v):
        split = lambda x: x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)
        q, k, v = split(self.q_proj(q)), split(self.k_proj(k)), split(self.v_proj(v))
        weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))


class PromptLayer(nn.Module):
    def __init__(self, p):
        super().__init__()
        dim, heads = p["neck"], p["prompt_heads"]
        self.global_query = nn.Parameter(torch.zeros(1, QUERIES, dim))
        self.self_attn = PromptAttention(dim, dim, heads)
        self.cross_attn_token_to_image = PromptAttention(dim, dim // 2, heads)  # in checkpoints, never used
        self.cross_attn_image_to_token = PromptAttention(dim, dim // 2, heads)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(dim) for _ in range(4))
        self.mlp = Mlp(dim, p["prompt_mlp"], F.relu)

    def forward(self, image, points):
        q = torch.cat([self.global_query, points], 1)
        q = self.norm2(q + self.norm1(self.self_attn(q, q, q)))
        g, points = q[:, :QUERIES], q[:, QUERIES:]
        g = self.norm3(g + self.mlp(g))
        return self.norm4(image + self.cross_attn_image_to_token(image, g, g)), points


class PromptEncoder(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.crop = p["crop"]
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(3, p["neck"] // 2))
        self.transformer = nn.Module()
        self.transformer.layers = nn.ModuleList(PromptLayer(p) for _ in range(2))

    def forward(self, feature_map, points):
        """points: [N, 3] voxel indices in the order (depth, width, height)."""
        grid = ((points + 0.5) * 2 / self.crop - 1).view(1, 1, 1, -1, 3)
        points = F.grid_sample(feature_map, grid, align_corners=False)[:, :, 0, 0].transpose(1, 2)
        image = feature_map.flatten(2).transpose(1, 2)
        for layer in self.transformer.layers:
            image, points = layer(image, points)
        return image.transpose(1, 2).reshape(feature_map.shape)


def two_convolutions(inputs, hidden, outputs):
    return [nn.Conv3d(inputs, hidden, 3, padding=1, bias=False), nn.InstanceNorm3d(hidden), nn.ReLU(),
            nn.Conv3d(hidden, outputs, 3, padding=1, bias=False)]


class MaskDecoder(nn.Module):
    def __init__(self, p):
        super().__init__()
        hidden, self.grid, self.crop = p["hidden"], p["grid"], p["crop"]
        self.mlahead = nn.Module()
        for i in range(2, 6):
            head = nn.Sequential(*two_convolutions(p["neck"], hidden, hidden), nn.InstanceNorm3d(hidden), nn.ReLU())
            setattr(self.mlahead, f"head{i}", head)
        self.cls = nn.Sequential(*two_convolutions(4 * hidden + 1, hidden, 2))

    def forward(self, maps, image):
        double = lambda x: F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=True)
        parts = [double(getattr(self.mlahead, f"head{i + 2}")(x)) for i, x in enumerate(maps)]
        parts.append(F.interpolate(image.permute(0, 1, 3, 4, 2), size=(2 * self.grid,) * 3, mode="trilinear"))
        logits = self.cls(torch.cat(parts, 1))
        logits = F.interpolate(logits, size=(self.crop,) * 3, mode="trilinear", align_corners=True)
        return logits.permute(0, 1, 4, 2, 3)


class Network(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.image_encoder, self.prompt_encoder, self.mask_decoder = ImageEncoder(p), PromptEncoder(p), MaskDecoder(p)

    def forward(self, image, points):
        maps = self.image_encoder(image)
        maps[3] = self.prompt_encoder(maps[3], points)
        return self.mask_decoder(maps, image)


def by_name(name, count):
    """The golden data's values: a function of a name and an index, in [-1, 1)."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    with numpy.errstate(over="ignore"):
        z = numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(state) + numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
    return 2 * (z >> numpy.uint64(40)).astype(numpy.float64) / 2**24 - 1


def fill(network):
    """Gives every parameter the golden data's value."""
    embeddings = ("pos_embed", "depth_embed", "rel_pos_h", "rel_pos_w", "rel_pos_d", "global_query")
    for name, tensor in network.state_dict().items():
        u, leaf = by_name(name, tensor.numel()), name.rsplit(".", 1)[-1]
        if leaf == "lr":
            u = numpy.ones(1)
        elif leaf == "positional_encoding_gaussian_matrix":
            u *= math.sqrt(3)
        elif tensor.dim() < 2:
            u = 1 + 0.1 * u if leaf == "weight" else 0.02 * u
        elif leaf in embeddings:
            u *= 0.1
        else:
            u *= math.sqrt(3 / (tensor.numel() // tensor.shape[0]))
        tensor.copy_(torch.from_numpy(u.astype(numpy.float32)).view(tensor.shape))
    return network


def golden_tensor(name):
    """A float32 tensor of the golden safetensors file."""
    data = (GOLDEN / "tiny_forward.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:8 + length])[name]
    start, end = (8 + length + offset for offset in entry["data_offsets"])
    return torch.from_numpy(numpy.frombuffer(data[start:end], "<f4").copy()).view(entry["shape"])


def golden_input(crop):
    return torch.from_numpy((2 * by_name("input.image", crop**3)).astype(numpy.float32)).view(1, 1, crop, crop, crop)


def check():
    """Largest difference from the golden logits at size tiny; ends the program where it is not rounding."""
    golden, crop = json.loads((GOLDEN / "tiny.json").read_text()), PRESETS["tiny"]["crop"]
    network = Network(PRESETS["tiny"])
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    if shapes != golden["state_dict"]:
        sys.exit("error: names or shapes of the parameters differ from the golden ones")
    fill(network)
    worst = 0.0
    for key in ("1pt", "10pt"):
        expected = golden_tensor(f"logits_{key}")
        step = crop // expected.shape[2]
        logits = network(golden_input(crop), torch.tensor(golden["points_dwh"][key]))[..., ::step, ::step, ::step]
        worst = max(worst, (logits - expected).abs().max().item())
    if worst > 1e-4:
        sys.exit(f"error: logits at size tiny differ by {worst:.1e} from the golden ones")
    return worst


FROZEN = ("patch_embed.", "pos_embed", ".mlp.", ".attn.qkv.", ".attn.proj.", ".attn.rel_pos_h", ".attn.rel_pos_w", ".attn.lr")


def training_step(network, image, points):
    """A step of the published recipe on one crop: loss, gradients of what is trained, clipping and AdamW."""
    torch.set_grad_enabled(True)
    for name, parameter in network.named_parameters():
        frozen = name.startswith("image_encoder.") and any(part in name for part in FROZEN)
        parameter.requires_grad_(not (frozen and ".adapter." not in name))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, 4e-4, weight_decay=0.0)
    label = (image[:, 0] > 1).long()

    def step():
        optimiser.zero_grad()
        logits = network(image, points)
        target = logits.float().softmax(1)[:, 1]
        overlap = 2 * (target * label).sum() / (target.square().sum() + label.sum() + 1e-5)
        (0.5 * (1 - overlap) + 0.5 * F.cross_entropy(logits.float(), label)).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=PRESETS, default="tiny")
    parser.add_argument("--repeats", type=int, default=1, help="forward passes to time")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--training", action="store_true", help="time training steps instead")
    parser.add_argument("--bf16", action="store_true", help="automatic mixed precision with bfloat16")
    parser.add_argument("--threads", type=int, help="threads of PyTorch; default as PyTorch chooses")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    difference = check()

    torch.set_default_device(arguments.device)
    on_gpu = arguments.device.startswith("cuda")
    preset = PRESETS[arguments.model]
    network, image = Network(preset), golden_input(preset["crop"]).to(arguments.device)
    points = torch.full((1, 3), preset["crop"] / 2)
    precision = torch.autocast(arguments.device.split(":")[0], torch.bfloat16, enabled=arguments.bf16)
    run = training_step(network, image, points) if arguments.training else lambda: network(image, points)
    seconds = []
    for _ in range(arguments.repeats):
        start = time.perf_counter()
        with precision:
            run()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({
        "implementation": f"plain PyTorch {torch.__version__}",
        "model": arguments.model,
        "threads": torch.get_num_threads(),
        "difference_from_golden_at_tiny": difference,
        "forward_seconds": seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peak_gpu_mib": torch.cuda.max_memory_allocated() // 2**20 if on_gpu else None,
    }))


if __name__ == "__main__":
    main()
