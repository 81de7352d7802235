import pytest

from weld_inspection.evaluation import figures


def score(title, average_precision, precision):
    values = {
        "recall": [1.0, 0.5, 0.0],
        "precision": [0.1, precision, 0.0],
        "average_precision": average_precision,
    }
    return {"title": title, "pixel_curve": values}


@pytest.fixture
def drawn(monkeypatch):
    """Figures, which the code under test closes once they are written."""
    kept = []
    close = figures.pyplot.close
    monkeypatch.setattr(figures.pyplot, "close", kept.append)
    yield kept
    for figure in kept:
        close(figure)


def test_each_seed_has_its_curve_and_each_network_its_colour_and_line_in_the_legend(
    drawn, tmp_path
):
    scores = [
        score("U-Net", 0.5, 0.6),
        score("bi-CRRN-E", 0.6, 0.8),
        score("bi-CRRN-E", 0.7, 0.9),
    ]

    figures.draw_curves(tmp_path / "curves.png", "pixels", scores, "pixel_curve")

    (figure,) = drawn
    lines = figure.axes[0].get_lines()
    # Best first; a point of a threshold that no defect passes is left out, (0, 1) ends each curve.
    precision = [list(line.get_ydata()) for line in lines]
    assert precision == [[0.1, 0.8, 1], [0.1, 0.9, 1], [0.1, 0.6, 1]]
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "bi-CRRN-E  0.650 ± 0.071",
        "U-Net  0.500",
    ]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
