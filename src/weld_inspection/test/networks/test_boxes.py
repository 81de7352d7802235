import pytest
import torch

from weld_inspection.networks.boxes import (
    align,
    clipped,
    corrected,
    corrections,
    intersection_over_union,
    paste,
    suppress,
)


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_intersection_over_union():
    one = boxes((0, 0, 4, 4), (10, 10, 12, 12))
    other = boxes((2, 2, 6, 6), (0, 0, 4, 4))
    assert torch.allclose(
        intersection_over_union(one, other), torch.tensor([[4 / 28, 1.0], [0.0, 0.0]])
    )


def test_corrections_lead_from_one_box_to_the_other():
    start = boxes((0, 0, 4, 8), (10, 20, 30, 24))
    wanted = boxes((1, -3, 9, 4), (12, 12, 18, 20))
    torch.testing.assert_close(corrected(start, corrections(start, wanted)), wanted)
    assert torch.equal(corrected(start, torch.zeros(2, 4)), start)


def test_boxes_are_cut_to_the_image_and_keep_a_pixel():
    cut = clipped(boxes((-5, 2, 3, 40), (50, 50, 60, 60)), 30, 20)
    assert cut.tolist() == [[0, 2, 3, 30], [19, 29, 20, 30]]


def test_suppression_keeps_the_best_of_those_alike():
    rows = boxes((0, 0, 10, 10), (1, 0, 11, 10), (20, 20, 30, 30), (0, 0, 10, 11))
    scores = torch.tensor([0.5, 0.9, 0.4, 0.8])
    assert suppress(rows, scores, 0.5, 10).tolist() == [1, 2]
    assert suppress(rows, scores, 0.95, 3).tolist() == [1, 3, 0]


def test_align_of_bf16_features_samples_the_same_places():
    torch.manual_seed(0)
    features = torch.randn(8, 23, 40).bfloat16().to(memory_format=torch.contiguous_format)
    places = torch.rand(50, 2) * torch.tensor([30.0, 15.0])
    rows = torch.cat((places, places + 1 + 7 * torch.rand(50, 2)), 1)
    wanted = align(features.float(), rows, 7)
    for _ in range(20):
        cells = align(features, rows, 7)
        assert cells.dtype == torch.bfloat16
        torch.testing.assert_close(cells.float(), wanted, atol=0.02, rtol=0.02)


def test_align_samples_a_ramp_where_the_cells_are():
    x = torch.arange(12) + 0.5  # at the centres of the pixels
    ramp = (x[None] + 100 * x[:, None])[None]  # (1, 12, 12)
    cells = align(ramp, boxes((2, 4, 8, 10), (3, 3, 6, 9)), 3)
    assert cells.shape == (2, 1, 3, 3)
    expected = torch.tensor([3.0, 5.0, 7.0]) + 100 * torch.tensor([[5.0], [7.0], [9.0]])
    torch.testing.assert_close(cells[0, 0], expected)
    expected = torch.tensor([3.5, 4.5, 5.5]) + 100 * torch.tensor([[4.0], [6.0], [8.0]])
    torch.testing.assert_close(cells[1, 0], expected)


def test_paste_fills_the_box_alone():
    image = paste(torch.ones(1, 7, 7), boxes((2, 3, 6, 8)), 10, 12)[0]
    expected = torch.zeros(10, 12)
    expected[3:8, 2:6] = 1
    torch.testing.assert_close(image, expected)


@pytest.mark.parametrize("box", [(4, 2, 12, 10), (0, 0, 16, 12)])
def test_align_undoes_paste(box):
    step = torch.linspace(0, 1, 8)
    mask = (step[None] + step[:, None])[None] / 2
    image = paste(mask, boxes(box), 24, 32)
    inside = slice(1, -1)  # at the box's edge, samples mix with what lies outside
    back = align(image, boxes(box), 8)[0, 0]
    torch.testing.assert_close(back[inside, inside], mask[0, inside, inside], atol=0.01, rtol=0)
