"""Sums and features over several processes: values, order, and gradients worked out by hand."""

import os
import socket

import pytest

torch = pytest.importorskip("torch")

from cafrnet.learning import ranks  # noqa: E402


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(rank, count, port):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=count)


def work(rank, count, port, folder):
    """One rank's part of the test: a batch of six numbers, 0 to 5, shared by ``count`` processes."""
    start(rank, count, port)
    mine = torch.tensor(ranks.share([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], rank, count), requires_grad=True)
    whole = ranks.gathered(mine)
    weights = torch.arange(6.0) ** 2
    (whole * weights).sum().backward()
    maps = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5).requires_grad_()
    channels_last = ranks.gathered(maps).permute(0, 2, 3, 1).reshape(-1, 3)
    (channels_last * torch.arange(channels_last.numel()).view_as(channels_last)).sum().backward()
    summed = torch.tensor([float(rank + 1)], requires_grad=True)
    (ranks.total(summed) ** 2).sum().backward()
    found = {
        "count": ranks.count(),
        "whole": whole.tolist(),
        "gradient": mine.grad.tolist(),
        "map_gradient": maps.grad,
        "total_gradient": summed.grad.tolist(),
        "codes": ranks.gathered(torch.tensor([[rank], [rank + 10]])).tolist(),
        "collected": ranks.collected([0.5] * rank),
    }
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("count", [3])
def test_several_processes(tmp_path, count):
    torch.multiprocessing.spawn(work, (count, free_port(), str(tmp_path)), nprocs=count)
    for rank in range(count):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found["count"] == count
        assert found["whole"] == [0, 1, 2, 3, 4, 5]  # in the order before it was shared
        # every rank has the loss sum(w x), so a share's gradient is count times w; DDP's mean takes it out
        assert found["gradient"] == [count * k**2 for k in range(rank, 6, count)]
        wanted = torch.arange(2.0 * count * 3 * 4 * 5).view(2 * count, 4, 5, 3).permute(0, 3, 1, 2)
        assert torch.equal(found["map_gradient"], count * wanted[rank::count])
        everything = sum(range(1, count + 1))
        assert found["total_gradient"] == [count * 2 * everything]
        assert found["codes"] == [*([k] for k in range(count)), *([k + 10] for k in range(count))]
        assert found["collected"] == [0.5] * sum(range(count))


def test_alone_everything_is_what_came():
    x = torch.ones(2, requires_grad=True)
    assert ranks.count() == 1
    assert ranks.total(x) is x
    assert ranks.gathered(x) is x
    assert ranks.collected([1, 2]) == [1, 2]


def test_shares_are_disjoint_and_complete():
    for count in (1, 2, 3, 5):
        shares = [ranks.share(range(12), rank, count) for rank in range(count)]
        assert sorted(k for one in shares for k in one) == list(range(12))
