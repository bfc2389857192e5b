"""How the benchmark judges figures."""

from tests.bench.rows import against, below, not_measured, render


def test_a_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_medians():
    row = against("start", [(0.2, 0.1), (0.3, 0.3), (0.9, 0.3)], 1.3)
    assert row.cells == ("start", "300.0 ms", "300.0 ms", "2.00x", "1.3x", "misses it", "3 pairs, 1.00x to 3.00x")


def test_a_row_without_a_limit_is_not_judged():
    assert against("noise", [(0.1, 0.1)], None).cells[4:] == ("-", "-", "1 pairs, 1.00x to 1.00x")


def test_a_figure_at_its_limit_is_within_the_target_and_one_above_misses_it():
    figures = [below("lab", figure, 3.0) for figure in (3.0, 3.1)]
    assert [(row.ours, row.ratio, row.verdict) for row in figures] == [
        ("3.00 s", "1.00x", "within target"),
        ("3.10 s", "1.03x", "misses it"),
    ]


def test_a_figure_has_the_unit_that_it_is_given():
    assert below("memory", 225.4, 450, "MiB").cells == (
        "memory", "225 MiB", "450 MiB", "0.50x", "1.0x", "within target", "",
    )  # fmt: skip


def test_the_table_says_what_could_not_be_measured():
    assert render([not_measured("lab", "no Linux")]).splitlines()[-1].split() == [
        "lab", "-", "-", "-", "-", "not", "measured", "no", "Linux",
    ]  # fmt: skip
