import torch

from fast3r.models.transfer import sent


def test_what_is_there_already_is_not_copied() -> None:
    tensor = torch.rand(3)
    assert sent(tensor, torch.device("cpu")) is tensor


def test_device_is_the_one_asked_for() -> None:
    assert sent(torch.rand(3), torch.device("meta")).device.type == "meta"
